"""Searches a recipe's parameters for the front of safety and utility on the development split."""

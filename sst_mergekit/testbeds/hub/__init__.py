"""Experts of a Hub model, trained on public sets."""

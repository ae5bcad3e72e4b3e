"""Embedded worlds: tiny models trained on invented words."""

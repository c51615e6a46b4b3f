"""Scores with and without a reference."""

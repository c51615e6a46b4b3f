"""Fusing scenes that are larger than memory."""

"""A page to read of one result: what went in, what was chosen and why, how it looks, how uncertain it is."""

from hypersharp.reporting.build import write_report

__all__ = ["write_report"]

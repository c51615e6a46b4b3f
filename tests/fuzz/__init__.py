"""Mutated files against everything that reads: `make fuzz`, or `python -m tests.fuzz --count 20000`."""

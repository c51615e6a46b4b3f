"""Products of satellites and aircraft: a family a file, one row each in `table.py`."""

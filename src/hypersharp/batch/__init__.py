"""Many pairs, one after the other: which they are, the sensors they share, what became of each, a table and a page."""

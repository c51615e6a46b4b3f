"""Two images of one place: placed on one grid, checked, sampled, reduced."""

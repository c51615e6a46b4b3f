"""Independent second ways to results of the product, for tests only."""

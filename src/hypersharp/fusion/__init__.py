"""The main job: choose a method, learn from the pair, apply, finish."""

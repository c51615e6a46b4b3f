"""Prediction intervals: the error model, its calibration, what it says of a result."""

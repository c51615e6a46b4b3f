"""Prediction intervals: the error model, its calibration, its predictions for a result."""

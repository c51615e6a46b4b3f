"""Weights for hypersharp beyond those it carries itself, which finds the `.safetensors` files beside this one."""

__version__ = "0.1.0"

"""Networks in ONNX: export, sessions of ONNX Runtime, their cache."""

"""The private operators, and RoiAlign for onnx.reference."""

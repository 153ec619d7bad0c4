"""The ops that ONNX does not have, and the onnx.reference ops."""

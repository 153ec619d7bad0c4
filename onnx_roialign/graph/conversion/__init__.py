"""convert_opset: a model at another opset with the same results."""

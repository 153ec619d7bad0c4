"""onnxruntime: session(), register(), the Python op, options."""

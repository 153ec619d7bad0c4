"""What a model's graph says about its RoiAligns."""

"""Reads the RoiAligns of a model and the nodes around them."""

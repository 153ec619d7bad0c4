"""What RoiAlign means, in NumPy alone: semantics, geometry, attributes, checks, the reference."""

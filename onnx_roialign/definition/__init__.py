"""The definition of RoiAlign in NumPy alone: semantics, geometry, attributes, checks, the reference."""

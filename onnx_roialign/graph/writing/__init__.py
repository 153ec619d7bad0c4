"""Writing nodes of the private ops, and removing what nothing reads."""

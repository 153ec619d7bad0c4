"""Pictures; the only modules that import matplotlib."""

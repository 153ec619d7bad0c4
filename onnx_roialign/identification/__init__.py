"""A black box, live or recorded, to the Semantics that explains it."""

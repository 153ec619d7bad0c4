"""identify: the Semantics of an unknown RoIAlign, by calling it or from recorded calls. explain compares two."""

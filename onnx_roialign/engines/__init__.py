"""The compiled library from Python, and roi_align() on arrays by either engine."""

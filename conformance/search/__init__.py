"""Search: runs random cases; shrinks, explains and saves those that differ from the exact results."""

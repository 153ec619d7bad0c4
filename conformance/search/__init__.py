"""Search: random cases against the exact results; what differs is shrunk, explained and saved as a case."""

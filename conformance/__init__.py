"""The conformance suite: cases, backends that run them, a runner that compares results, and reports; see README.md."""

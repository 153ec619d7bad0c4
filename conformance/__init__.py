"""The conformance suite: cases as data, backends that run them, a runner that compares, a report. See README.md."""

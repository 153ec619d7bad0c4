"""The reports of a run: one document, and the forms that it is written in."""

"""fuse: an exporter's pooler or mask pasting becomes one op, where both are proved to compute the same."""

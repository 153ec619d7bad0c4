"""Writes private operators, removes unread nodes, and restores what onnx-ir drops."""

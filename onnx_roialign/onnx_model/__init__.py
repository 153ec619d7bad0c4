"""Reads models and their RoiAligns for sessions and passes, and writes models."""

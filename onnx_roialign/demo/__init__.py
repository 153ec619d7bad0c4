"""The demo: an exported Mask R-CNN on every engine."""

"""PyInstaller's entry point pyinstaller40: the folder of the hook that puts the compiled library into a frozen app."""

from __future__ import annotations

import os

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Returns the folder of the hook."""
    return [os.path.dirname(__file__)]

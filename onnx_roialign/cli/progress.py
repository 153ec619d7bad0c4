"""The progress bar of the commands that take long."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress

__all__ = ["progress_bars"]


def progress_bars() -> Progress:
    """Returns a display on stderr, gone at the end; none where that is no terminal: it would leave an empty line."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)

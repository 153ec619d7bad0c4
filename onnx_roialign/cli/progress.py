"""The progress bar of the commands that take long."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress

__all__ = ["progress_bars"]


def progress_bars() -> Progress:
    """Returns a display on stderr that disappears at the end; outside a terminal, one that writes nothing."""
    console = Console(stderr=True)
    console.quiet = not console.is_terminal  # rich 13 prints an empty line at the end, even if it is disabled
    return Progress(console=console, transient=True, disable=not console.is_terminal)

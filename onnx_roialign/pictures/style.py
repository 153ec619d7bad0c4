"""The common style of the pictures: colours, titles, and figures without a window system."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from onnx_roialign.files import write_file

__all__ = [
    "CHOSEN",
    "INK",
    "INSTRUCTION_SETS",
    "LINE",
    "MAP",
    "OTHERS",
    "PEER",
    "QUIET",
    "SAMPLES",
    "UNKNOWN",
    "save",
    "title",
]

_LINE = 14  # points from one grey line to the next

INK = "#1f2430"
QUIET = "#6b7280"
CHOSEN = "#d81b60"
OTHERS = "#1565c0"
SAMPLES = "#ffb300"
PEER = "#c3c9d4"
LINE = "#d1d5db"
MAP = "#f3f4f6"
UNKNOWN = "#fde68a"
# Colours of this package's bars; wider vectors are darker.
INSTRUCTION_SETS: Mapping[str, str] = MappingProxyType(
    {"avx512": "#0d47a1", "avx2": "#1e78d0", "neon": "#1e78d0", "baseline": "#6fb1f0"}
)


def title(axes: Axes, heading: str, below: str) -> None:
    """Gives a panel a heading, one or more grey lines below it, and grey ticks without a frame."""
    pad = 24 + _LINE * below.count("\n")
    axes.set_title(heading, loc="left", fontsize=14, weight="bold", color=INK, pad=pad)
    axes.annotate(
        below, (0, 1), xycoords="axes fraction", xytext=(0, 7), textcoords="offset points", fontsize=10, color=QUIET
    )
    axes.set_anchor("N")  # aligns the tops of panels
    axes.tick_params(colors=QUIET, labelsize=8.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG, without a window system and global state.

    Raises:
        RoiAlignError: the file cannot be written.
    """
    drawn = BytesIO()
    FigureCanvasAgg(figure).print_figure(drawn, format="png")
    write_file("the picture", path, drawn.getvalue())

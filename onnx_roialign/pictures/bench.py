"""Draws the benchmark's picture: a panel per race, a bar per engine, the floor as a line."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from onnx_roialign.bench.race import Race, Result
from onnx_roialign.bench.report import milliseconds, ratio_text
from onnx_roialign.bench.workloads import NAMES_EXPLAINED
from onnx_roialign.pictures.style import CHOSEN, INK, INSTRUCTION_SETS, PEER, QUIET, save

__all__ = ["draw_race", "draw_races"]

_COLUMNS = 2
_LABEL_GAP, _LABEL_LETTER = 0.03, 0.02  # before a bar's label and per letter of it, as parts of a panel's width
_LINE = 0.135  # height of a line of the caption, in inches
_CAPTION_WIDTH = 115  # letters per column of panels


def draw_races(path: Path, races: Sequence[Race], machine: Mapping[str, Any], baseline: str = "onnxruntime") -> None:
    """Writes the picture as a PNG.

    Args:
        path: the file.
        races: the races in reading order; contestants that were not timed are omitted.
        machine: the result of `machine.describe_machine`, for the caption.
        baseline: the peer to which the ratio at each bar refers.
    """
    columns = min(_COLUMNS, len(races))
    rows = math.ceil(len(races) / columns)
    bars = max(len(race.results) for race in races)
    caption = _caption(machine, baseline, _CAPTION_WIDTH * columns)
    below = _LINE * (caption.count("\n") + 2)
    height = rows * (1.05 + 0.34 * bars) + 0.6 + below
    figure = Figure(
        figsize=(6.6 * columns, height),
        dpi=150,
        facecolor="white",
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, rect=(0, below / height, 1, 1 - below / height)),
    )
    figure.suptitle("RoiAlign on a CPU: milliseconds", x=0.01, ha="left", fontsize=14, weight="bold", color=INK)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, race in zip(panels, races, strict=False):
        draw_race(axes, race, baseline)
    for axes in panels[len(races) :]:
        axes.set_visible(False)
    figure.text(0.01, 0.06 / height, caption, fontsize=7.5, color=QUIET, va="bottom")
    save(figure, path)


def _caption(machine: Mapping[str, Any], baseline: str, width: int) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    paragraphs = (
        f"Medians of runs in turns, with quartiles; shorter is faster. x: times faster than {baseline}. Red line: the "
        "floor, every touched feature read once and the output written once at this machine's copy speed.",
        NAMES_EXPLAINED,
        f"{machine['cpu']}, {machine['cores']} cores. {versions}.",
    )
    return "\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs)


def draw_race(axes: Axes, race: Race, baseline: str) -> None:
    """Draws one race into its panel, the slowest engine first, with room for every bar's label."""
    shown = [result for result in race.results if result.times is not None]
    shown.sort(key=lambda result: -_median(result))
    limit = race.floor_ms
    for place, result in enumerate(shown):
        ours = result.contestant.isa is not None
        median, times = _median(result), result.times
        axes.barh(place, median, height=0.72, color=INSTRUCTION_SETS.get(result.contestant.isa or "", PEER))
        if times is not None:
            axes.plot([times.q1, times.q3], [place, place], color=INK, linewidth=1.1, solid_capstyle="butt")
        ratio = race.faster(result, baseline)
        label = milliseconds(median)
        if ours and ratio is not None:
            label += f"   {ratio_text(ratio)}"
        end = max(median, times.q3 if times else median)
        limit = max(limit, end / (1 - _LABEL_GAP - _LABEL_LETTER * len(label)))
        axes.annotate(
            label,
            (end, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=INK,
            weight="bold" if ours else "normal",
        )
    axes.axvline(race.floor_ms, color=CHOSEN, linewidth=1.2, linestyle=(0, (4, 2)), zorder=3)
    axes.set_yticks(range(len(shown)), [result.contestant.label for result in shown], fontsize=9.5, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, limit)
    threads = f"{race.threads} thread{'s' if race.threads > 1 else ''}"
    axes.set_title(f"{race.workload}", loc="left", fontsize=11.5, weight="bold", color=INK)
    axes.set_title(f"{race.dtype}, {race.mode}, {threads}", loc="right", fontsize=9, color=QUIET)
    axes.tick_params(axis="x", colors=QUIET, labelsize=8)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PEER)


def _median(result: Result) -> float:
    return result.times.median if result.times is not None else 0.0

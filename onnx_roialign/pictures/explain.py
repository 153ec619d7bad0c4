"""Draws an explanation: the bins and samples of both meanings on the feature map, the differences, and numbers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from onnx_roialign.identification.explain import MAX_POSITIONS, AxisPlan, Explanation, Plan, noise_map
from onnx_roialign.pictures.style import CHOSEN, INK, LINE, MAP, OTHERS, QUIET, UNKNOWN, save, title

__all__ = ["draw_explanation"]

_SIDE = 6.2  # inches of the large panel's longer side
_CLOSEST = 6.0  # points (1/72 inch) between two drawn samples; the marks of closer samples would touch
_GRID_LINES = 48  # feature pixels are outlined if at most this many are in view
_PALE = 0.45
_ONE_HUNDREDTH = 0.01  # if all differences are below, they are written in a smaller unit
_LEGEND_WIDTH, _HEADER_WIDTH = 42, 31  # characters of a name that fit in a line
_SUBTITLE_WIDTH = 80  # characters that fit above the large panel
_OPTIONAL = "coordinate_transformation_mode="  # of the source onnx:16,coordinate_transformation_mode=half_pixel
_MEANING_WIDTH = 38  # characters that fit in a column of the numbers
_NUMBERED_BINS = 8  # each bin gets its number if there are at most this many per side


def draw_explanation(path: Path, shown: Explanation, names: tuple[str, str]) -> None:
    """Writes the picture as a PNG.

    Args:
        path: path of the picture.
        shown: the explanation.
        names: names of the first and the second meaning.
    """
    first, second = ("".join(name.split()).replace(_OPTIONAL, "") for name in names)
    names = first, second
    figure = Figure(figsize=(12.5, 9.6), dpi=150, facecolor="white")
    left = figure.add_axes((0.06, 0.34, 0.55, 0.57))
    right = figure.add_axes((0.70, 0.56, 0.235, 0.35))
    below = figure.add_axes((0.06, 0.02, 0.91, 0.25))
    entries = _draw_map(left, shown, names)
    _draw_differences(right, shown)
    _write_numbers(below, shown, names)
    figure.legend(handles=entries, loc="upper left", bbox_to_anchor=(0.675, 0.475), frameon=False, labelcolor=INK)
    save(figure, path)


def _draw_map(axes: Axes, shown: Explanation, names: tuple[str, str]) -> list[Line2D]:
    """Draws the large panel and returns the entries of its legend."""
    height, width = shown.feature
    x_view, y_view = _views(shown)
    axes.set_facecolor(MAP)
    axes.imshow(noise_map(shown.feature, "avg"), cmap="Greys", vmin=-0.2, vmax=3.0, interpolation="nearest")
    if max(x_view[1] - x_view[0], y_view[1] - y_view[0]) <= _GRID_LINES:
        for x in np.arange(width + 1) - 0.5:
            axes.plot([x, x], [-0.5, height - 0.5], color="white", linewidth=0.8, zorder=1)
        for y in np.arange(height + 1) - 0.5:
            axes.plot([-0.5, width - 0.5], [y, y], color="white", linewidth=0.8, zorder=1)
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=QUIET, linewidth=1.2, zorder=2))
    cut = Rectangle((-1, -1), width + 1, height + 1, fill=False, edgecolor=QUIET, linestyle=(0, (4, 3)), linewidth=1)
    axes.add_patch(cut)
    points = 72 * _SIDE / max(x_view[1] - x_view[0], y_view[1] - y_view[0])  # per feature pixel
    styles = ((shown.second, OTHERS, False), (shown.first, CHOSEN, True))
    strides = [_draw_plan(axes, *style, points) for style in styles]
    axes.set_xlim(*x_view)
    axes.set_ylim(*reversed(y_view))
    if not any(_reaches(plan.x, x_view) and _reaches(plan.y, y_view) for plan in (shown.first, shown.second)):
        middle = sum(x_view) / 2, sum(y_view) / 2
        axes.text(*middle, "the RoI is far outside the map", ha="center", color=INK, fontsize=12, style="italic")
    rows, columns = shown.first.result.shape
    box = ", ".join(f"{value:g}" for value in shown.box)
    bins = f"{rows} x {columns} bins, map {height} x {width}, scale {shown.attributes.spatial_scale:g}"
    below = f"RoI {box} of the image: {bins}"
    title(axes, "Where the RoI is sampled", below if len(below) <= _SUBTITLE_WIDTH else below.replace(": ", ":\n", 1))
    axes.set_anchor("NW")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("feature map x, pixels (pixel i has its centre at i)", color=QUIET)
    axes.set_ylabel("feature map y, pixels", color=QUIET)
    return _legend(shown, names, strides[::-1])


def _views(shown: Explanation) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns the ranges in view: the RoI and the nearest edge of the map, at most half a map beyond it."""
    views = []
    for axis, length in (("x", shown.feature[1]), ("y", shown.feature[0])):
        plans: list[AxisPlan] = [getattr(plan, axis) for plan in (shown.first, shown.second)]
        ends = [end for plan in plans for end in (plan.start, plan.start + plan.size)]
        low, high = min(ends), max(ends)
        pad = max(1.5, 0.15 * (high - low))
        low, high = min(low - pad, length - 4.0), max(high + pad, 3.0)
        reach = max(3.0, 0.5 * length)
        views.append((max(low, -1 - reach), min(high, length + reach)))
    side = max(high - low for low, high in views)
    x, y = (_widened(view, 0.6 * side) for view in views)
    return x, y


def _reaches(axis: AxisPlan, view: tuple[float, float]) -> bool:
    ends = axis.start, axis.start + axis.size
    return min(ends) < view[1] and max(ends) > view[0]


def _widened(view: tuple[float, float], least: float) -> tuple[float, float]:
    more = max(0.0, least - (view[1] - view[0])) / 2
    return view[0] - more, view[1] + more


def _draw_plan(axes: Axes, plan: Plan, colour: str, solid: bool, points: float) -> int:
    """Draws the RoI, its bins and its samples; returns n if every nth sample along an axis is drawn."""
    x, y = plan.x, plan.y
    order = 6 if solid else 4
    ends_x, ends_y = ([axis.start, axis.start + axis.size] for axis in (x, y))
    for p in range(1, x.bins):
        axes.plot([x.start + p * x.bin] * 2, ends_y, color=colour, linewidth=0.7, alpha=_PALE, zorder=order)
    for p in range(1, y.bins):
        axes.plot(ends_x, [y.start + p * y.bin] * 2, color=colour, linewidth=0.7, alpha=_PALE, zorder=order)
    outline = Rectangle((x.start, y.start), x.size, y.size, fill=False, edgecolor=colour, zorder=order)
    outline.set_linewidth(2.2 if solid else 1.6)
    axes.add_patch(outline)
    axes.plot(x.start, y.start, marker="s", markersize=6, color=colour, zorder=order, clip_on=True)
    gap = points * min((abs(axis.bin) / axis.grid for axis in (x, y) if axis.grid), default=1.0)
    stride = math.ceil(_CLOSEST / max(gap, _CLOSEST / MAX_POSITIONS))
    at_x, at_y = np.meshgrid(x.positions[::stride], y.positions[::stride])
    kept = y.kept[::stride, None] & x.kept[None, ::stride]
    size = min((gap * stride / 3) ** 2, 22.0)  # an area with a side of a third of the distance between samples
    if solid:
        axes.scatter(at_x[kept], at_y[kept], s=size, color=colour, linewidths=0, zorder=order)
    else:
        axes.scatter(
            at_x[kept], at_y[kept], s=3 * size, facecolors="none", edgecolors=colour, linewidths=1, zorder=order
        )
    marker = "x" if solid else "+"
    axes.scatter(at_x[~kept], at_y[~kept], s=2.4 * size, marker=marker, color=colour, linewidths=1, zorder=order)
    return stride


def _legend(shown: Explanation, names: tuple[str, str], strides: Sequence[int]) -> list[Line2D]:
    entries = []
    for plan, name, stride, colour, solid in zip(
        (shown.first, shown.second), names, strides, (CHOSEN, OTHERS), (True, False), strict=True
    ):
        note = "has no samples" if not plan.samples else f"1 in {stride} drawn along each axis" if stride > 1 else ""
        style: Literal["full", "none"] = "full" if solid else "none"
        label = _in_lines(name, _LEGEND_WIDTH) + (f"\n{note}" if note else "")
        entries.append(_mark("o", colour, label, style))
        if plan.dropped:
            drawn = not (plan.x.kept.all() and plan.y.kept.all())
            entries.append(_mark("x" if solid else "+", colour, "dropped" if drawn else "dropped: too many to draw"))
    entries.append(_mark("s", INK, "start of the RoI"))
    entries.append(Line2D([], [], color=QUIET, linestyle=(0, (4, 3)), label="samples beyond are dropped"))
    return entries


def _in_lines(name: str, width: int) -> str:
    """Breaks a name that is too long for a line after the name of the framework."""
    lines = [name] if len(name) <= width else name.replace(":", ":\n", 1).split("\n")
    return "\n".join(textwrap.fill(line, width) for line in lines)


def _mark(marker: str, colour: str, label: str, style: Literal["full", "none"] = "full") -> Line2D:
    return Line2D([], [], color=colour, marker=marker, label=label, linestyle="none", markersize=6, fillstyle=style)


def _draw_differences(axes: Axes, shown: Explanation) -> None:
    first, second = (plan.result.astype(np.float64) for plan in (shown.first, shown.second))
    one_is_nan = np.isnan(first) != np.isnan(second)
    gap = np.where(one_is_nan, np.nan, np.abs(np.nan_to_num(first) - np.nan_to_num(second)))
    top = max(float(np.nanmax(gap)) if not one_is_nan.all() else 0.0, 1e-3)
    axes.set_facecolor(UNKNOWN)
    shades = axes.imshow(gap, cmap="Purples", vmin=0, vmax=1.3 * top, interpolation="nearest")
    rows, columns = gap.shape
    axes.add_patch(Rectangle((-0.5, -0.5), columns, rows, fill=False, edgecolor=LINE, linewidth=1))
    unit = 1.0 if top >= _ONE_HUNDREDTH else 10.0 ** math.floor(math.log10(top))
    numbered = max(rows, columns) <= _NUMBERED_BINS
    scale = "" if unit == 1 or not (numbered and gap.any()) else f", in units of {unit:g}"
    if not gap.any():
        axes.text(
            (columns - 1) / 2, (rows - 1) / 2, "no difference", ha="center", va="center", fontsize=12, style="italic"
        )
    elif numbered:
        for p, q in np.ndindex(rows, columns):
            text = "one\nNaN" if one_is_nan[p, q] else f"{gap[p, q] / unit:.2f}"
            dark = not one_is_nan[p, q] and gap[p, q] > 0.75 * top
            axes.text(q, p, text, ha="center", va="center", fontsize=8.5, color="white" if dark else INK)
    elif not one_is_nan.all():
        bar = axes.figure.colorbar(shades, cax=axes.inset_axes((1.04, 0, 0.04, 1)))
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=QUIET, labelsize=8.5)
    axes.set_xticks(np.unique(np.linspace(0, columns - 1, min(columns, 8)).astype(int)))
    axes.set_yticks(np.unique(np.linspace(0, rows - 1, min(rows, 8)).astype(int)))
    title(axes, "Difference of the results", f"per bin, mode {shown.attributes.mode}{scale}")
    yellow = "; yellow: only one is NaN" if one_is_nan.any() else ""
    axes.set_xlabel(f"bin along x{yellow}\nthe map is {shown.noise}", color=QUIET)
    axes.set_ylabel("bin along y", color=QUIET)


def _write_numbers(axes: Axes, shown: Explanation, names: tuple[str, str]) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    columns = (0.0, 0.26, 0.55, 0.84)
    for at, text, colour in zip(columns[1:], (*names, "second - first"), (CHOSEN, OTHERS, QUIET), strict=True):
        lines = _in_lines(text, _HEADER_WIDTH)
        axes.text(at, 0.1, lines, fontsize=11, weight="bold", color=colour, va="bottom")
    axes.plot([0, 1], [0.35, 0.35], color=LINE, linewidth=1)
    row = 1.0
    for cells in _rows(shown):
        for at, text in zip(columns, cells, strict=True):
            axes.text(at, row - 0.35, text, fontsize=10.5, color=QUIET if at == 0 else INK, va="top")
        row += max(text.count("\n") + 1 for text in cells)
    axes.set_ylim(max(row, 8) - 0.6, -0.7)


def _rows(shown: Explanation) -> list[tuple[str, str, str, str]]:
    first, second = shown.first, shown.second
    rows = [("meaning, where it differs", _fields(shown, 0), _fields(shown, 1), "")] if shown.fields else []
    rows += [
        (label, _pair(first, name), _pair(second, name), _pair_gap(first, second, name))
        for label, name in (("start x, y", "start"), ("size x, y", "size"), ("bin x, y", "bin"))
    ]
    grids = tuple(f"{plan.x.grid:g} x {plan.y.grid:g}" for plan in (first, second))
    rows.append(("samples per bin, x by y", grids[0], grids[1], ""))
    for label, a, b in (
        ("samples", first.samples, second.samples),
        ("dropped samples", first.dropped, second.dropped),
    ):
        rows.append((label, _count(a), _count(b), _count(b - a, "+")))
    worst = "only one is NaN" if math.isinf(shown.difference) else f"{shown.difference:.4g}"
    return [*rows, ("largest difference", worst, "", "")]


def _fields(shown: Explanation, which: int) -> str:
    return textwrap.fill(", ".join(f"{name}={pair[which]}" for name, pair in shown.fields.items()), _MEANING_WIDTH)


def _count(number: float, sign: str = "") -> str:
    return format(number, f"{sign},.0f" if abs(number) < 1e9 else f"{sign}.6g")


def _pair(plan: Plan, name: str) -> str:
    return ", ".join(f"{getattr(axis, name):.6g}" for axis in (plan.x, plan.y))


def _pair_gap(first: Plan, second: Plan, name: str) -> str:
    gaps = (getattr(b, name) - getattr(a, name) for a, b in ((first.x, second.x), (first.y, second.y)))
    return ", ".join(f"{gap:+.4g}" for gap in gaps)

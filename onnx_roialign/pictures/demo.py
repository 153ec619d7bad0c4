"""Draws the demo's picture: the detections on the scene, the samples of one RoI, and the time of each engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from onnx_roialign.arrays import Array
from onnx_roialign.pictures.style import CHOSEN, INK, INSTRUCTION_SETS, OTHERS, PEER, QUIET, SAMPLES, save, title

__all__ = ["WAYS", "Bar", "Detections", "SampledRoi", "draw"]

_SIZE = (13.0, 8.1)  # inches
_MARGIN = 2.1  # feature-map pixels shown around the RoI
_PALETTE = (OTHERS, SAMPLES, CHOSEN)  # colours of the classes in the order of their labels
_ROOM_FOR_LABEL = 70  # pixels of the image: in a box of at least this width, the label is inside
# The ways to run the model, each with the label and the colour of its bar.
WAYS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "builtin": ("ONNX Runtime", PEER),
        "native": ("onnx_roialign", INSTRUCTION_SETS["baseline"]),
        "optimized": ("optimized", INSTRUCTION_SETS["avx512"]),
    }
)


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections of the model.

    Attributes:
        image: (3, H, W) in [0, 1].
        boxes: (K, 4) x1, y1, x2, y2 in pixels of the image.
        labels: (K,) index into `classes`, from 1 on.
        scores: (K,) in [0, 1].
        masks: (K, 1, H, W) in [0, 1].
        classes: names of the classes, the background first.
        summary: a line for the title.
    """

    image: Array
    boxes: Array
    labels: Array
    scores: Array
    masks: Array
    classes: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class SampledRoi:
    """The samples of one RoI, in pixels of the feature map (pixel i has its centre at i).

    Attributes:
        index: number of the RoI's detection.
        feature: (h, w) the channel that is shown.
        channel: number of the channel.
        level: level of the RoI, from 0 on.
        levels: number of levels.
        x: positions along x, ascending; there is a sample at every (y, x).
        y: positions along y.
        bins: (output_height, output_width).
        spatial_scale: feature-map pixels per image pixel.
        mask: (H, W) mask of the detection, in [0, 1], in pixels of the image.
    """

    index: int
    feature: Array
    channel: int
    level: int
    levels: int
    x: Array
    y: Array
    bins: tuple[int, int]
    spatial_scale: float
    mask: Array


@dataclass(frozen=True, slots=True)
class Bar:
    """The time of a whole run.

    Attributes:
        opset: the opset of the model.
        way: "builtin", "native" or "optimized".
        milliseconds: the time; None if the model does not load.
        note: the text beside the bar.
    """

    opset: int
    way: str
    milliseconds: float | None
    note: str


def draw(path: Path, detections: Detections, sampled: SampledRoi, bars: Sequence[Bar]) -> None:
    """Writes the picture as a PNG: detections and one RoI's samples above, a panel of bars for each opset below."""
    figure = Figure(figsize=_SIZE, dpi=150, facecolor="white")
    _draw_image(_panel(figure, 0.65, 2.65, 6.4, 4.8), detections, sampled.index)
    _draw_samples(_panel(figure, 7.95, 2.65, 4.8, 4.8), sampled, detections)
    longest = max((bar.milliseconds for bar in bars if bar.milliseconds is not None), default=1.0)
    for left, opset in zip((1.7, 7.95), sorted({bar.opset for bar in bars}), strict=True):
        axes = _panel(figure, left, 0.4, 4.8, 1.1)
        _draw_bars(axes, opset, [bar for bar in bars if bar.opset == opset], longest)
    save(figure, path)


def _panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Returns axes at a place given in inches."""
    return figure.add_axes((left / _SIZE[0], bottom / _SIZE[1], width / _SIZE[0], height / _SIZE[1]))


def _draw_image(axes: Axes, found: Detections, chosen: int) -> None:
    _, height, width = found.image.shape
    frame = (0, width, height, 0)
    axes.imshow(found.image.transpose(1, 2, 0), extent=frame, interpolation="nearest")
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    for index, (box, label) in enumerate(zip(found.boxes, found.labels, strict=True)):
        colour = _PALETTE[label - 1]
        for line, line_width in (("white", 3.0), (colour, 1.5)):
            axes.contour(x, y, found.masks[index, 0], [0.5], colors=[line], linewidths=line_width)
        x1, y1, x2, y2 = box
        solid = index == chosen
        axes.add_patch(
            Rectangle(
                (x1, y1),
                x2 - x1,
                y2 - y1,
                fill=False,
                edgecolor=colour if solid else "white",
                linewidth=2.6 if solid else 0.9,
                linestyle="-" if solid else (0, (3, 2)),
            )
        )
        _label(axes, f"{found.classes[label]} {found.scores[index]:.2f}", box)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    title(axes, "Mask R-CNN's detections", found.summary)
    axes.set_xlabel("image x, pixels (line: mask, dashed: box)", color=QUIET)
    axes.set_ylabel("image y, pixels", color=QUIET)


def _label(axes: Axes, text: str, box: Array) -> None:
    """Writes a label inside its box if it fits, else above the box, or below it at the image's upper edge."""
    x1, y1, x2, y2 = box
    if x2 - x1 >= _ROOM_FOR_LABEL:
        place, offset, vertical = ((x1 + x2) / 2, (y1 + y2) / 2), 0, "center"
    elif y1 > 0.04 * axes.get_ylim()[0]:
        place, offset, vertical = ((x1 + x2) / 2, y1), 2, "bottom"
    else:
        place, offset, vertical = ((x1 + x2) / 2, y2), -2, "top"
    written = axes.annotate(
        text,
        place,
        xytext=(0, offset),
        textcoords="offset points",
        ha="center",
        va=vertical,
        fontsize=8,
        weight="bold",
        color=INK,
    )
    written.set_path_effects([Stroke(linewidth=2.4, foreground="white"), Normal()])


def _draw_samples(axes: Axes, sampled: SampledRoi, found: Detections) -> None:
    colour = _PALETTE[found.labels[sampled.index] - 1]
    x_edges, y_edges = _edges(sampled.x, sampled.bins[1]), _edges(sampled.y, sampled.bins[0])
    axes.imshow(sampled.feature, cmap="Greys", interpolation="nearest", alpha=0.8)
    for edge in x_edges:
        axes.plot([edge, edge], y_edges[[0, -1]], color=colour, linewidth=0.6, alpha=0.6)
    for edge in y_edges:
        axes.plot(x_edges[[0, -1]], [edge, edge], color=colour, linewidth=0.6, alpha=0.6)
    corner = (x_edges[0], y_edges[0])
    extent = (x_edges[-1] - x_edges[0], y_edges[-1] - y_edges[0])
    axes.add_patch(Rectangle(corner, *extent, fill=False, edgecolor=colour, linewidth=2.6))
    at_y, at_x = ((np.arange(length) + 0.5) * sampled.spatial_scale - 0.5 for length in sampled.mask.shape)
    axes.contour(at_x, at_y, sampled.mask, [0.5], colors=[colour], linewidths=2.2)
    x, y = np.meshgrid(sampled.x, sampled.y)
    axes.scatter(x, y, s=9, color=SAMPLES, edgecolors=INK, linewidths=0.3, zorder=3)
    height, width = sampled.feature.shape
    axes.set_xlim(max(x_edges[0] - _MARGIN, -0.5), min(x_edges[-1] + _MARGIN, width - 0.5))
    axes.set_ylim(min(y_edges[-1] + _MARGIN, height - 0.5), max(y_edges[0] - _MARGIN, -0.5))
    rows, columns = sampled.bins
    name = found.classes[found.labels[sampled.index]]
    title(
        axes,
        "Where RoiAlign samples the map",
        f"the framed {name}: {rows} x {columns} bins, {sampled.y.size // rows} x {sampled.x.size // columns} samples "
        f"each, level {sampled.level + 1} of {sampled.levels}",
    )
    axes.set_anchor("NW")
    axes.set_xlabel(
        f"feature map x ({1 / sampled.spatial_scale:g} image pixels each); channel {sampled.channel}", color=QUIET
    )
    axes.set_ylabel("feature map y", color=QUIET)


def _edges(positions: Array, bins: int) -> Array:
    # The samples of a fixed grid are evenly spaced and start half a step from the RoI's ends.
    step = (positions[-1] - positions[0]) / (positions.size - 1)
    edges: Array = np.linspace(positions[0] - step / 2, positions[-1] + step / 2, bins + 1)
    return edges


def _draw_bars(axes: Axes, opset: int, bars: Sequence[Bar], longest: float) -> None:
    for place, bar in enumerate(bars):
        _, colour = WAYS[bar.way]
        length = bar.milliseconds or 0.0
        axes.barh(place, length, height=0.66, color=colour)
        axes.annotate(
            bar.note,
            (length, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=CHOSEN if bar.milliseconds is None else INK,
            weight="bold" if bar.way == "optimized" else "normal",
        )
    axes.set_yticks(range(len(bars)), [WAYS[bar.way][0] for bar in bars], fontsize=10, color=INK)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 1.3 * longest)
    title(axes, f"Opset {opset}, end to end", "milliseconds, median of runs in turns; shorter is faster")
    axes.tick_params(axis="y", length=0, labelsize=10, labelcolor=INK)

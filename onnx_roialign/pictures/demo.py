"""The demo's picture: detections on the image, and where RoiAlign samples the feature map for one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from onnx_roialign.arrays import Array
from onnx_roialign.pictures.style import CHOSEN, INK, OTHERS, QUIET, SAMPLES, save, title

__all__ = ["Detections", "SampledRoi", "draw"]

_MARGIN = 1.1  # feature-map pixels shown around the RoI


@dataclass(frozen=True, slots=True)
class Detections:
    """What the model found.

    Attributes:
        image: (3, H, W) in [0, 1].
        boxes: (K, 4) x1, y1, x2, y2 in pixels of the image.
        scores: (K,).
        masks: (K, 1, H, W) in [0, 1].
    """

    image: Array
    boxes: Array
    scores: Array
    masks: Array


@dataclass(frozen=True, slots=True)
class SampledRoi:
    """Where RoiAlign samples for one RoI, in pixels of the feature map (pixel i has its centre at i).

    Attributes:
        feature: (h, w) the channel that is shown.
        channel: which one that is.
        x: positions along x, ascending; samples lie at every (y, x).
        y: positions along y.
        bins: (output_height, output_width).
        spatial_scale: feature-map pixels per image pixel.
    """

    feature: Array
    channel: int
    x: Array
    y: Array
    bins: tuple[int, int]
    spatial_scale: float


def draw(path: Path, detections: Detections, sampled: SampledRoi) -> None:
    """Writes the picture as a PNG: the image with its boxes on the left, the samples of the first box on the right."""
    layout = ConstrainedLayoutEngine(w_pad=0.16, h_pad=0.14)
    figure = Figure(figsize=(13.0, 6.5), dpi=150, facecolor="white", layout=layout)
    left, right = figure.subplots(1, 2, width_ratios=(1.52, 1.0))
    _draw_image(left, detections)
    _draw_samples(right, sampled)
    save(figure, path)


def _draw_image(axes: Axes, detections: Detections) -> None:
    _, height, width = detections.image.shape
    pale = 0.72 + 0.28 * detections.image.transpose(1, 2, 0)  # the image is noise: faded, the boxes can be seen
    frame = (0, width, height, 0)
    axes.imshow(pale, extent=frame, interpolation="nearest")
    for index in reversed(range(len(detections.boxes))):  # the first one last, on top
        box, score = detections.boxes[index], detections.scores[index]
        colour = CHOSEN if index == 0 else OTHERS
        mask = detections.masks[index, 0] >= 0.5
        tint = np.zeros((height, width, 4))
        tint[mask] = (*_rgb(colour), 0.4)
        axes.imshow(tint, extent=frame, interpolation="nearest")
        x1, y1, x2, y2 = box
        line_width = 2.6 if index == 0 else 1.4
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=line_width))
        label = axes.annotate(
            f"{score:.3f}", (x1, y1), xytext=(0, 3), textcoords="offset points", fontsize=8, color=colour, weight="bold"
        )
        label.set_path_effects([Stroke(linewidth=2.2, foreground="white"), Normal()])
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    title(axes, "Mask R-CNN's detections", "random weights, random image: boxes with scores, masks tinted")
    axes.set_xlabel("image x, pixels", color=QUIET)
    axes.set_ylabel("image y, pixels", color=QUIET)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _draw_samples(axes: Axes, sampled: SampledRoi) -> None:
    x_edges, y_edges = _edges(sampled.x, sampled.bins[1]), _edges(sampled.y, sampled.bins[0])
    shown = axes.imshow(sampled.feature, cmap="Greys", interpolation="nearest", alpha=0.65)
    for edge in x_edges:
        axes.plot([edge, edge], y_edges[[0, -1]], color=CHOSEN, linewidth=0.7, alpha=0.8)
    for edge in y_edges:
        axes.plot(x_edges[[0, -1]], [edge, edge], color=CHOSEN, linewidth=0.7, alpha=0.8)
    corner = (x_edges[0], y_edges[0])
    extent = (x_edges[-1] - x_edges[0], y_edges[-1] - y_edges[0])
    axes.add_patch(Rectangle(corner, *extent, fill=False, edgecolor=CHOSEN, linewidth=2.6))
    x, y = np.meshgrid(sampled.x, sampled.y)
    axes.scatter(x, y, s=8, color=SAMPLES, edgecolors=INK, linewidths=0.3, zorder=3)
    height, width = sampled.feature.shape
    axes.set_xlim(max(x_edges[0] - _MARGIN, -0.5), min(x_edges[-1] + _MARGIN, width - 0.5))
    axes.set_ylim(min(y_edges[-1] + _MARGIN, height - 0.5), max(y_edges[0] - _MARGIN, -0.5))
    rows, columns = sampled.bins
    title(
        axes,
        "Where RoiAlign samples the red box",
        f"{rows} x {columns} bins, {sampled.y.size // rows} x {sampled.x.size // columns} samples each",
    )
    axes.set_xlabel("feature map x, pixels", color=QUIET)
    axes.set_ylabel("feature map y, pixels", color=QUIET)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.75, pad=0.02)
    bar.set_label(f"channel {sampled.channel}, {1 / sampled.spatial_scale:g} image pixels per pixel", color=QUIET)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=QUIET, labelsize=8.5)


def _edges(positions: Array, bins: int) -> Array:
    # The samples of a fixed grid are evenly spaced, half a step from the RoI's ends.
    step = (positions[-1] - positions[0]) / (positions.size - 1)
    edges: Array = np.linspace(positions[0] - step / 2, positions[-1] + step / 2, bins + 1)
    return edges

"""Computes the content of the demo's picture: detections, the samples of one RoI on its feature map, and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.bench.report import milliseconds
from onnx_roialign.definition.geometry import axis_samples, roi_axes
from onnx_roialign.definition.pyramid import Pyramid
from onnx_roialign.demo.runs import BASELINE, Run, times_faster
from onnx_roialign.demo.scene import CLASSES, Scene, summary
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops import multiscale_roi_align
from onnx_roialign.ops.nodes import read_any
from onnx_roialign.pictures.demo import WAYS, Bar, Detections, SampledRoi, draw
from onnx_roialign.sessions.trial import try_engine

__all__ = ["MaskPooler", "draw_demo", "run_mask_pooler", "sampled_roi"]

_SHOWN = "triangle"  # half of its box is background, so that both are visible on the feature map


@dataclass(frozen=True, slots=True)
class MaskPooler:
    """The inputs and the output of a model's mask pooler in one run.

    Attributes:
        pyramid: its attributes.
        rois: (K, 4) the boxes of the detections, in pixels of the image.
        levels: (K,) the level of each RoI, from 0 on.
        features: one (1, C, h, w) map per level.
        pooled: (K, C, output_height, output_width), its output.
        outputs: the outputs of the model by name.
    """

    pyramid: Pyramid
    rois: Array
    levels: Array
    features: tuple[Array, ...]
    pooled: Array
    outputs: Mapping[str, Array]

    def side(self, index: int) -> float:
        """Returns the longer side of one RoI in pixels of its level's map."""
        x1, y1, x2, y2 = self.rois[index]
        return float(max(x2 - x1, y2 - y1)) * self.pyramid.spatial_scales[int(self.levels[index])]


def draw_demo(path: Path, scene: Scene, model: onnx.ModelProto, runs: Sequence[Run]) -> None:
    """Runs the model on the scene and draws the detections, the samples of one detection, and the times of all runs.

    Args:
        path: path of the picture.
        scene: the scene to run the model on.
        model: the model after `fuse`.
        runs: the runs to draw as bars.

    Raises:
        RoiAlignError: the model does not run.
    """
    pooler = run_mask_pooler(model, scene.image)
    boxes, labels, scores, masks = (pooler.outputs[name] for name in ("boxes", "labels", "scores", "masks"))
    detections = Detections(scene.image, boxes, labels, scores, masks, CLASSES, summary(scene, pooler.outputs))
    shown = [int(i) for i in np.flatnonzero(labels == CLASSES.index(_SHOWN))]
    sampled = sampled_roi(pooler, max(shown, key=pooler.side, default=0))
    draw(path, detections, sampled, [_bar(run) for run in runs if run.way in WAYS])


def _bar(run: Run) -> Bar:
    if run.times is None:
        return Bar(run.opset, run.way, None, "does not load")
    ratio = "" if run.way == BASELINE else f"   {times_faster(run.faster)}"
    return Bar(run.opset, run.way, run.times.median, milliseconds(run.times.median) + ratio)


def run_mask_pooler(model: onnx.ModelProto, image: Array) -> MaskPooler:
    """Runs a model after `fuse` and returns the inputs and the output of its mask pooler, the one with more bins.

    Raises:
        RoiAlignError: the model has no fused pooler, or does not run.
    """
    poolers = [node for node in model.graph.node if node.op_type == multiscale_roi_align.OP_TYPE]
    if not poolers:
        raise RoiAlignError(
            "the picture's model",
            "missing",
            f"must have a {multiscale_roi_align.OP_TYPE}, got none: fuse did not change it",
        )
    pyramid, node = max(((read_any(node, None), node) for node in poolers), key=lambda pair: _bins(pair[0]))
    rois, _, levels, *features = node.input
    tapped = deepcopy(model)
    tapped.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in (rois, *features, *node.output, *filter(None, [levels]))
    )
    trial = try_engine(tapped, {"image": image}, "native")
    if trial.refusal is not None:
        raise RoiAlignError("the picture", "failed", f"must have a run to show, got none: {trial.refusal}")
    got = trial.outputs
    of_rois = got[levels] if levels else pyramid.rule.levels(got[rois])
    return MaskPooler(pyramid, got[rois], of_rois, tuple(got[name] for name in features), got[node.output[0]], got)


def _bins(pyramid: Pyramid) -> int:
    return pyramid.attributes.output_height * pyramid.attributes.output_width


def sampled_roi(pooler: MaskPooler, index: int) -> SampledRoi:
    """Returns the samples of one detection's RoI, and the channel on which its mask is most visible."""
    level = int(pooler.levels[index])
    attributes, features = pooler.pyramid.at(level), pooler.features[level][0]
    axes = roi_axes(pooler.rois[index : index + 1], features.shape[1:], attributes)
    y, x = (axis_samples(axis).position for axis in axes)
    mask = pooler.outputs["masks"][index, 0]
    inside = _on_map(mask, attributes.spatial_scale) >= 0.5
    rows, columns = (slice(max(int(at[0]) - 1, 0), int(at[-1]) + 3) for at in (y, x))
    channel = _clearest(features[:, rows, columns], inside[rows, columns])
    return SampledRoi(
        index=index,
        feature=features[channel],
        channel=channel,
        level=level,
        levels=len(pooler.features),
        x=x,
        y=y,
        bins=(attributes.output_height, attributes.output_width),
        spatial_scale=attributes.spatial_scale,
        mask=mask,
    )


def _on_map(mask: Array, spatial_scale: float) -> Array:
    """Scales a mask down to a feature map: each pixel is the mean of the image pixels that it covers."""
    side = round(1 / spatial_scale)
    height, width = (length // side for length in mask.shape)
    mean: Array = mask[: height * side, : width * side].reshape(height, side, width, side).mean((1, 3))
    return mean


def _clearest(features: Array, inside: Array) -> int:
    """Returns the channel whose values inside and outside a mask differ most, relative to their standard deviations."""
    within, outside = features[:, inside], features[:, ~inside]
    spread = within.std(1) + outside.std(1) + np.float32(1e-6)
    return int(np.argmax(np.abs(within.mean(1) - outside.mean(1)) / spread))

"""Compares the levels of boxes with torchvision's own code in PyTorch and with Detectron2's and mmdetection's."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances
from boundaries import boundary_boxes, neighbours
from required_peers import imported

from onnx_roialign.definition.pyramid import LevelRule, box_areas
from onnx_roialign.frameworks import torchvision


def torchvisions(boxes, rule):
    poolers = imported("torchvision.ops.poolers")
    mapper = poolers.LevelMapper(rule.min_level, rule.max_level, rule.canonical_scale, rule.canonical_level)
    return mapper([boxes])


def detectron2s(boxes, rule):
    """assign_boxes_to_levels of detectron2/modeling/poolers.py (version 0.6), line for line."""
    torch = imported("torch")
    box_sizes = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level_assignments = torch.floor(rule.canonical_level + torch.log2(box_sizes / rule.canonical_scale + 1e-8))
    level_assignments = torch.clamp(level_assignments, min=rule.min_level, max=rule.max_level)
    return level_assignments.to(torch.int64) - rule.min_level


def mmdetections(rois, rule):
    """map_roi_levels of mmdet/models/roi_heads/roi_extractors/single_level_roi_extractor.py (3.3), line for line."""
    torch = imported("torch")
    scale = torch.sqrt((rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1]))
    target_lvls = torch.floor(torch.log2(scale / rule.canonical_scale + 1e-6))
    return target_lvls.clamp(min=0, max=rule.max_level).long()


RULES = {
    "torchvision": (torchvisions, LevelRule(2, 5)),
    "torchvision 96": (torchvisions, LevelRule(1, 9, 96, 3)),
    "torchvision, two maps of one stride": (torchvisions, LevelRule(5, 5)),
    "torchvision, from coarse to fine": (torchvisions, LevelRule(5, 2)),
    "detectron2": (detectron2s, LevelRule(2, 5, log_epsilon=1e-8, floor_epsilon=0)),
    "detectron2 100": (detectron2s, LevelRule(0, 9, 100, 5, log_epsilon=1e-8, floor_epsilon=0)),
    "mmdetection": (mmdetections, LevelRule(0, 3, 56, 0, log_epsilon=1e-6, floor_epsilon=0)),
    "mmdetection 40": (mmdetections, LevelRule(0, 4, 40, 0, log_epsilon=1e-6, floor_epsilon=0)),
}


def both(boxes, tell, rule):
    """Our levels and theirs; -1 for none: theirs are then far from those of all maps."""
    with np.errstate(all="ignore"):
        theirs = tell(imported("torch").from_numpy(boxes), rule).numpy()
    exists = (theirs >= 0) & (theirs <= rule.max_level - rule.min_level)
    return rule.levels(boxes), np.where(exists, theirs, -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_levels_around_every_boundary_are_those_of_the_framework(name, dtype):
    """All areas except those next to a boundary: the last bit of PyTorch's logarithm depends on the machine."""
    tell, rule = RULES[name]
    boxes = boundary_boxes(rule, dtype, 300)
    ours, theirs = both(boxes, tell, rule)
    near = [neighbours(array, 1) for array in rule.smallest_areas(dtype) if 0 < array < np.inf]
    assert set(box_areas(boxes[ours != theirs]).tolist()) <= set(np.ravel(near).tolist())


@pytest.mark.parametrize("name", RULES)
def test_levels_of_boxes_of_all_sizes_are_those_of_the_framework(name):
    tell, rule = RULES[name]
    rng = np.random.default_rng(20261130)
    corner = rng.uniform(-50, 900, (20000, 2))
    boxes = np.hstack([corner, corner + 2 ** rng.uniform(-3, 12, (20000, 2))]).astype(np.float32)
    ugly = np.float32([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38, 2**31, -1])
    boxes[:4000] = rng.choice(np.append(ugly, np.float32([0, 5, 300])), (4000, 4))
    ours, theirs = both(boxes, tell, rule)
    np.testing.assert_array_equal(ours, theirs)
    assert len(set(ours.tolist())) > min(rule.max_level - rule.min_level + 1, 2)


@pytest.mark.parametrize("sizes", [[64, 32, 16, 8], [16, 64], [64, 63], [64, 16], [32, 64, 16], [64]], ids=str)
def test_torchvisions_pooler_returns_the_same_on_any_order_of_maps(sizes):
    torch, ops = imported("torch"), imported("torchvision.ops")
    rng = np.random.default_rng(20261201)
    maps = {f"feat{i}": rng.random((2, 3, size, size), np.float32) for i, size in enumerate(sizes)}
    corner = rng.uniform(0, 200, (40, 2))
    boxes = np.hstack([corner, corner + 2 ** rng.uniform(1, 8, (40, 2))]).astype(np.float32)
    boxes[:3] = [[90, 2, 10, 100], [90, 100, 10, 2], [9, 9, 9, 9]]
    asked = list(maps), (3, 2), 2
    tensors = {name: torch.from_numpy(own) for name, own in maps.items()}
    images = [(256, 256), (250, 200)]
    want = ops.MultiScaleRoIAlign(*asked)(
        tensors, [torch.from_numpy(array) for array in (boxes, boxes[::2].copy())], images
    )
    got = torchvision.MultiScaleRoIAlign(*asked)(maps, [boxes, boxes[::2]], images)
    np.testing.assert_allclose(got, want.numpy(), rtol=0, atol=tolerances.FLOAT32)

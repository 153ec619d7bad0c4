"""Tests the demo's scenes: pixels agree with boxes, labels and masks, and `found` compares detections with them."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_roialign.demo.scene import CLASSES, GOOD, SIZES, demo_scene, draw_scene, found, summary

SEEDS = range(4)


def test_a_scene_is_drawn_the_same_twice_and_other_seeds_draw_others():
    first, same, other = (draw_scene(seed, 256, 320, 6) for seed in (5, 5, 6))
    assert np.array_equal(first.image, same.image)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("seed", SEEDS)
def test_image_boxes_and_masks_belong_together(seed):
    scene = draw_scene(seed, 300, 400, 12)
    assert scene.image.shape == (3, 300, 400)
    levels = scene.image * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert scene.image.min() >= 0
    assert scene.image.max() <= 1
    assert scene.masks.sum(0).max() == 1, "a pixel shows one shape"
    for (x1, y1, x2, y2), mask in zip(scene.boxes.astype(int), scene.masks, strict=True):
        assert mask[y1:y2, x1:x2].sum() == mask.sum() > 0
        assert mask[y1:y2, [x1, x2 - 1]].any(0).all()
        assert mask[[y1, y2 - 1], x1:x2].any(1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shape_fills_as_much_of_its_box_as_its_class_does(seed):
    """The share of its box that a shape fills: disc pi / 4, square of angle t 1 / (1 + sin 2t), triangle about half."""
    scene = draw_scene(seed, 480, 640, 12)
    corners = scene.boxes.reshape(-1, 2, 2)
    sides = corners[:, 1] - corners[:, 0]
    for label, mask, side in zip(scene.labels, scene.masks, sides, strict=True):
        if side.min() < 30:
            continue  # pixels are too coarse
        filled = mask.sum() / side.prod()
        low, high = {"disc": (0.70, 0.80), "square": (0.42, 1.0), "triangle": (0.35, 0.60)}[CLASSES[label]]
        assert low <= filled <= high


def test_the_demo_has_shapes_of_all_classes_and_sizes():
    scene = demo_scene()
    assert set(scene.labels) == set(range(1, len(CLASSES)))
    corners = scene.boxes.reshape(-1, 2, 2)
    sides = np.sqrt((corners[:, 1] - corners[:, 0]).prod(1))
    for low, high in ((SIZES[0] - 4, 48), (48, 96), (96, 2 * SIZES[1])):  # of the detector's levels
        assert np.count_nonzero((sides >= low) & (sides < high)) >= 3


def test_found_is_the_iou_of_masks_of_one_class():
    scene = draw_scene(1, 256, 320, 3)
    masks = scene.masks[:, None].astype(np.float32)
    shapes, detections = found(scene, scene.labels, masks)
    assert shapes.tolist() == detections.tolist() == [1, 1, 1]
    half = masks.copy()
    half[0, 0, : int(scene.boxes[0, [1, 3]].mean())] = 0
    shapes, detections = found(scene, scene.labels, half)
    assert shapes[0] == detections[0] == pytest.approx(half[0].sum() / masks[0].sum())
    assert found(scene, scene.labels % 3 + 1, masks)[0].max() < GOOD
    none = found(scene, scene.labels[:0], masks[:0])
    assert none[0].tolist() == [0, 0, 0]
    assert none[1].size == 0


def test_the_summary_counts_what_is_missing_and_what_is_too_much():
    scene = draw_scene(1, 256, 320, 3)
    masks = scene.masks[:, None].astype(np.float32)
    full = {"labels": scene.labels, "masks": masks}
    assert (
        summary(scene, full) == "3 of 3 shapes found with their class and mask (IoU 1.00 to 1.00); no other detections"
    )
    wrong = {"labels": scene.labels[:2], "masks": np.stack([masks[0], 1 - masks[1]])}
    assert summary(scene, wrong).startswith("1 of 3 shapes found")
    assert summary(scene, wrong).endswith("; 1 other detections")
    nothing = {"labels": scene.labels[:0], "masks": masks[:0]}
    assert summary(scene, nothing) == "0 of 3 shapes found with their class and mask; no other detections"

"""Tests the benchmark's workloads, and the floor: the bytes that a workload must move."""

from __future__ import annotations

import itertools

import naive
import numpy as np
import pytest
from races import BYTES_PER_SECOND, fake_contestant, race, small

from onnx_roialign.bench import floor
from onnx_roialign.bench.workloads import WORKLOADS, converted, is_half_pixel


def test_the_workloads_are_reproducible():
    box, mask, c4 = (WORKLOADS[name]().calls for name in ("fpn_box_7x7_s2", "fpn_mask_14x14_s2", "c4_14x14_adaptive"))
    assert [len(call.rois) for call in box] == [542, 173, 195, 90]
    assert [len(call.rois) for call in mask] == [52, 18, 24, 6]
    assert box[0].rois.sum(dtype=np.float64) == pytest.approx(1145053.80965, abs=1e-4)
    assert box[0].X.sum(dtype=np.float64) == pytest.approx(-294.11927, abs=1e-4)
    assert c4[0].X.sum(dtype=np.float64) == pytest.approx(710.26829, abs=1e-4)
    assert (is_half_pixel(c4[0]), is_half_pixel(box[0])) == (True, False)


def touched_by_brute_force(call):
    touched = set()
    attributes = call.attributes
    for image, roi in zip(call.batch_indices, call.rois, strict=True):
        axes = []
        for start, end, bins, length in (
            (roi[1], roi[3], attributes.output_height, call.X.shape[2]),
            (roi[0], roi[2], attributes.output_width, call.X.shape[3]),
        ):
            positions, _ = naive.axis_positions(
                start, end, bins, attributes.sampling_ratio, attributes.spatial_scale, attributes.semantics
            )
            taps = [naive.taps(position, length, attributes.semantics) for position in itertools.chain(*positions)]
            axes.append({pixel for tap in taps if tap is not None for pixel, _ in tap})
        touched |= {(int(image), row, column) for row, column in itertools.product(*axes)}
    return len(touched)


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2])
def test_the_floor_counts_each_touched_cell_once(sampling_ratio):
    call = small(sampling_ratio=sampling_ratio, shape=(2, 3, 30, 40), num_rois=9).calls[0]
    call.rois[0] = (-30, -20, 40, 50)  # partly outside
    call.rois[1] = (400, 400, 500, 500)  # outside
    cells = floor.touched_cells(call)
    assert cells == touched_by_brute_force(call)
    assert 0 < cells < 2 * 30 * 40


def test_moved_bytes_are_touched_features_of_every_channel_and_the_output():
    workload = converted(small(sampling_ratio=1), "float16", "avg")
    call = workload.calls[0]
    assert floor.moved_bytes(workload) == 2 * (3 * floor.touched_cells(call) + 5 * 3 * 2 * 3)


def test_the_floor_is_the_moved_bytes_at_copy_bandwidth():
    finished = race(small(sampling_ratio=1), [fake_contestant()])
    assert finished.floor_ms == pytest.approx(1e3 * finished.moved_bytes / BYTES_PER_SECOND)
    assert floor.copy_bandwidth(2, size=1 << 20) > 0

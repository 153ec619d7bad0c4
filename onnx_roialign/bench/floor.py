"""The lower bound of a RoiAlign's time: the bytes that it must read and write, divided by the copy bandwidth."""

from __future__ import annotations

import statistics
import threading
import time
from functools import cache

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.bench.workloads import Workload
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.geometry import RoiAxis, axis_samples, roi_axes

__all__ = ["copy_bandwidth", "moved_bytes", "touched_cells"]

_COPY_BYTES = 512 << 20  # two of these are several times the largest caches, 260 MB on the server of the README
_COPY_RUNS = 5


def touched_cells(call: Call) -> int:
    """Returns the number of different (image, row, column) that the RoIs read.

    A sample's two neighbours along each axis are read even where one has weight 0 (see `geometry`).
    """
    images, _, height, width = call.X.shape
    corners = call.rois.astype(coordinate_type(call.rois.dtype))
    rows, columns = map(_touched, roi_axes(corners, (height, width), call.attributes))
    touched = np.zeros((images, height, width), bool)
    for image, row, column in zip(call.batch_indices, rows, columns, strict=True):
        touched[image] |= row[:, None] & column
    return int(np.count_nonzero(touched))


def _touched(axis: RoiAxis) -> Array:
    """Returns (K, length): whether each RoI reads each row (column)."""
    samples = axis_samples(axis)
    touched = np.zeros((len(axis.start), axis.length), bool)
    for pixel in (samples.low, samples.high):
        touched[samples.bin // axis.bins, pixel] = True
    return touched


def moved_bytes(workload: Workload) -> int:
    """Returns the bytes of every feature that the RoIs read, counted once, and of the output."""
    return sum(
        (touched_cells(call) * call.X.shape[1] + int(np.prod(call.output_shape))) * call.X.itemsize
        for call in workload.calls
    )


@cache
def _copied_arrays(size: int) -> tuple[Array, Array]:
    return np.ones(size, np.uint8), np.zeros(size, np.uint8)  # both are written, so that their memory pages exist


def copy_bandwidth(threads: int, size: int = _COPY_BYTES) -> float:
    """Returns the bytes per second, read plus written, at which NumPy copies one array to another.

    It is the median of 5 copies after a warm-up. Each copy is divided evenly among the threads, because NumPy copies
    without Python's lock.

    Args:
        threads: number of threads that copy.
        size: size of the array in bytes.
    """
    source, target = _copied_arrays(size)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    seconds = []
    for _ in range(1 + _COPY_RUNS):
        workers = [threading.Thread(target=np.copyto, args=part) for part in parts[1:]]
        begin = time.perf_counter()
        for worker in workers:
            worker.start()
        np.copyto(*parts[0])
        for worker in workers:
            worker.join()
        seconds.append(time.perf_counter() - begin)
    return 2 * size / statistics.median(seconds[1:])

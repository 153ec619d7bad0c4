"""A program: what the most expensive calls cost that the checks of inputs allow, of each op and engine.

    python tests/support/most_expensive_calls.py

Each call pools one RoI of one channel, in a process of its own: CPU seconds, and the peak of memory beside the arrays.
"""

from __future__ import annotations

import os
import resource
import sys
import time

import ml_dtypes
import numpy as np

from onnx_roialign import Semantics
from onnx_roialign.definition import quantized, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native
from onnx_roialign.frameworks.torchvision import roi_align_quantized

# Height and width of the map, (output_height, output_width), sampling_ratio. The RoI is the map.
CALLS = {
    "4096 x 4096 pixels, 1 bin": ((4096, 4096), (1, 1), 0),
    "1 x 2^22 pixels, 1 bin": ((1, 1 << 22), (1, 1), 0),
    "2 x 2^22 pixels, 32768 bins": ((2, 1 << 22), (1, 32768), 0),
    "64 x 64 pixels, 64 x 64 bins, the finest grid": ((64, 64), (64, 64), 16384),
    "64 x 64 pixels, 4096 x 4096 bins": ((64, 64), (4096, 4096), 1),
}
RULES = {
    "avg": ("avg", Semantics()),
    "max corners": ("max", Semantics()),
    "max samples": ("max", Semantics(max_rule="samples")),
}
TYPES = {
    "native": (np.float32, np.float64, np.float16, ml_dtypes.bfloat16),
    "reference": (np.float32, np.float64),
}


def measure(make) -> str:
    """make() -> a call; its cost, in a process that ends with it."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        call = make()
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        Y = call()
        seconds = time.process_time() - start
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - Y.nbytes
        os.write(write, f"{seconds:.2f} s, {max(peak, 0) / 1e6:.0f} MB".encode())
        os._exit(0)
    os.close(write)
    text = os.read(read, 100).decode()
    os.close(read)
    _, status = os.waitpid(child, 0)
    return text if status == 0 else f"ended by {status}"


def float_call(engine, dtype, rule, special, size, output, ratio):
    mode, semantics = RULES[rule]

    def make():
        X = np.ones((1, 1, *size), dtype)
        if special:
            X[:] = np.nan
        rois = np.array([[0, 0, size[1], size[0]]], np.float64 if dtype == np.float64 else np.float32)
        attributes = Attributes(*output, ratio, mode=mode, semantics=semantics)
        pool = native.roi_align if engine == "native" else reference.roi_align
        return lambda: pool(X, rois, np.zeros(1, np.int64), attributes)

    return make


def quantized_call(engine, size, output, ratio):
    def make():
        X = np.full((1, 1, *size), 7, np.uint8)
        boxes = np.float32([[0, 0, 0, size[1], size[0]]])
        ratio_ = min(ratio, quantized.MAX_SAMPLING_RATIO)
        return lambda: roi_align_quantized(X, 0.1, 3, boxes, output, 1.0, ratio_ or -1, True, engine=engine)

    return make


def main() -> None:
    for name, call in CALLS.items():
        for engine, types in TYPES.items():
            for rule in RULES:
                for dtype in types:
                    for special in (False, True):
                        cost = measure(float_call(engine, dtype, rule, special, *call))
                        print(
                            f"{name} | {engine} | {rule} {np.dtype(dtype).name}{' NaN' * special} | {cost}", flush=True
                        )
            print(f"{name} | {engine} | quantized | {measure(quantized_call(engine, *call))}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

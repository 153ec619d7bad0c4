"""A program: draws calls at random, most of them malformed, and makes them on the library that its argument names.

Run by test_sanitizers.py on a library built under AddressSanitizer and UndefinedBehaviorSanitizer, where any read or
write outside a buffer ends the process. Every array is allocated at exactly its size. Prints what it counted.
"""

import ctypes
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from onnx_roialign import native
from onnx_roialign.attributes import Attributes

SEED = 20260822
ITEMSIZE = {1: 4, 10: 2, 11: 8, 16: 2}
HUGE = 2**62


def pick(rng, common, rare, chance=0.03):
    """Mostly one of common, now and then one of rare."""
    values = rare if rng.random() < chance else common
    return values[rng.integers(len(values))]


def draw_coordinates(rng, count, type_):
    """RoIs mostly around a small map, some far away, huge, tiny or not numbers at all."""
    rois = rng.uniform(-20, 60, (count, 4))
    if rng.random() < 0.3:
        rois *= pick(rng, (1e3, 1e9, -1.0, 1e-30), (1e20, 3e38, 1e300))
    if count and rng.random() < 0.08:
        rois[rng.integers(count), rng.integers(4)] = pick(rng, (np.nan, np.inf, -np.inf), (3.4e38, -3.4e38), 0.5)
    with np.errstate(over="ignore"):
        if type_ == 16:
            return (rois.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return rois.astype({1: np.float32, 10: np.float16, 11: np.float64}.get(type_, np.float32))


def draw_call(rng, isas):
    """One direct C call: the arguments, and the buffers that they point to."""
    type_ = int(pick(rng, (1, 10, 11, 16), (0, 7, -1)))
    rois_type = int(pick(rng, (0, 0, 1, 10, 11, 16), (7, -1)))
    N, C, H, W = (
        int(pick(rng, common, (0, -1, HUGE), 0.02)) for common in ((1, 2), (1, 2, 5), range(1, 40), range(1, 70))
    )
    count = int(pick(rng, (1, 1, 2, 6), (0, -1)))
    height, width = (int(pick(rng, (1, 2, 7, 8, 9, 17), (0, -3, HUGE, 65537), 0.02)) for _ in range(2))
    sizes = (N, C, H, W, count, height, width)
    honest = all(0 <= size < 1000 for size in sizes)
    itemsize = ITEMSIZE.get(type_, 8)
    x_bytes, y_bytes = (N * C * H * W * itemsize, count * C * height * width * itemsize) if honest else (0, 0)
    X = np.frombuffer(rng.bytes(max(x_bytes, 1)), np.uint8).copy()
    rois = draw_coordinates(rng, max(count, 0) if honest else 0, rois_type or type_)
    batch_indices = rng.integers(0, max(min(N, 9), 1), max(count, 0))
    if count > 0 and rng.random() < 0.05:
        batch_indices[rng.integers(count)] = pick(rng, (N, -1), (-(2**63), 2**63 - 1, 2**40))
    Y = np.empty(max(y_bytes, 1), np.uint8)
    arguments = native._arguments(Attributes())
    arguments.type = type_
    arguments.rois_type = rois_type
    arguments.X, arguments.rois, arguments.batch_indices, arguments.Y = (
        array.ctypes.data for array in (X, rois, batch_indices, Y)
    )
    arguments.N, arguments.C, arguments.H, arguments.W, arguments.num_rois = N, C, H, W, count
    arguments.output_height, arguments.output_width = height, width
    arguments.sampling_ratio = int(pick(rng, (0, 0, 1, 2, 3), (-1, 16384, 16385, HUGE)))
    arguments.spatial_scale = float(pick(rng, (1.0, 0.25, 0.1), (0.0, -1.0, np.nan, np.inf, 1e-40, 1e30)))
    arguments.mode_max = int(rng.integers(2))
    arguments.offset, arguments.end_shift = float(rng.choice((0.0, 0.5))), float(rng.choice((0.0, 1.0)))
    arguments.start_shift = float(rng.choice((0.0, 0.5)))
    arguments.min_size, arguments.max_start = float(rng.choice((1.0, -np.inf))), float(rng.choice((-1e4, 0.0, -np.inf)))
    for name in ("adaptive_floor", "empty_nan", "max_samples", "border_exclusive"):
        setattr(arguments, name, int(rng.integers(2)))
    arguments.threads = int(pick(rng, (1, 1, 2, 3), (0, -1)))
    arguments.isa = pick(rng, isas, (b"", b"sse9000", b"\xff"))
    return arguments, (X, rois, batch_indices, Y)


def direct_calls(count):
    rng = np.random.default_rng(SEED)
    isas = [isa.encode() for isa in native.available_isas()]
    statuses = Counter()
    for _ in range(count):
        arguments, buffers = draw_call(rng, isas)
        message = ctypes.create_string_buffer(int(pick(rng, (512,), (0, 1, 8))) or 1)
        status = native._library().onnx_roialign_call(ctypes.byref(arguments), message, ctypes.sizeof(message))
        assert status in (0, 1, 2), (status, message.value)
        assert status == 0 or message.value or ctypes.sizeof(message) == 1
        statuses[status] += 1
        del buffers
    return statuses


def session(path):
    node = helper.make_node(
        "RoiAlign",
        ["X", "rois", "batch_indices"],
        ["Y"],
        name="roi",
        output_height=7,
        output_width=7,
        coordinate_transformation_mode="half_pixel",
    )
    inputs = [
        helper.make_tensor_value_info("X", TensorProto.FLOAT, [None] * 4),
        helper.make_tensor_value_info("rois", TensorProto.FLOAT, [None, None]),
        helper.make_tensor_value_info("batch_indices", TensorProto.INT64, [None]),
    ]
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    options.register_custom_ops_library(path)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def session_calls(path, threads, calls_each):
    """Many threads on one session, batch indices and shapes at random, some right and most not."""
    shared = session(path)

    def work(seed):
        rng = np.random.default_rng(SEED + seed)
        outcomes = Counter()
        for _ in range(calls_each):
            images, count = int(rng.integers(1, 3)), int(rng.integers(0, 5))
            feeds = {
                "X": rng.standard_normal((images, 3, *rng.integers(1, 20, 2)), dtype=np.float32),
                "rois": draw_coordinates(rng, count, 1)[:, : int(pick(rng, (4,), (3, 1), 0.1))],
                "batch_indices": rng.integers(-1, images + 1, count + int(pick(rng, (0,), (1,), 0.1))),
            }
            try:
                (Y,) = shared.run(None, feeds)
                assert Y.shape == (count, 3, 7, 7)
                outcomes["answered"] += 1
            except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
                outcomes["refused" if "must" in str(error) else f"failed without a rule: {error}"] += 1
        return outcomes

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)), Counter())


if __name__ == "__main__":
    library = sys.argv[1]
    native.library_path = lambda: library
    statuses = direct_calls(10_000)
    outcomes = session_calls(library, threads=50, calls_each=20)
    print(f"direct: {statuses[0]} answered, {statuses[1]} invalid, {statuses[2]} unsupported")
    assert set(outcomes) <= {"answered", "refused"}, outcomes
    print(f"session: {outcomes['answered']} answered, {outcomes['refused']} refused")

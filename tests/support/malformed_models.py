"""Sessions of each op at random, most of them malformed in one or two places, and what Python says of each.

The library is registered by itself, as from C++: no Python looks at the model before it does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from malformed_calls import UGLY_COORDINATES, UGLY_FEATURES, UGLY_FLOATS, UGLY_INDICES, UGLY_INT64, pick
from onnx import AttributeProto, TensorProto, helper
from quiet import quiet_options

from models import DTYPES, TYPES, private_model, qlinear_node, roi_align_node
from onnx_roialign import RoiAlignError
from onnx_roialign.definition import quantized, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import CHOICES
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import read_attributes
from onnx_roialign.ops.roi_align import ATTRIBUTE_TYPES

FEEDS_EACH = 4
UGLY_TEXTS = ("", "median", "AVG", "x" * 300, "a'b", "\u00e9" * 40)
GOOD: dict[str, tuple[Any, ...]] = {
    "output_height": (1, 2, 7),
    "output_width": (1, 2, 7),
    "sampling_ratio": (0, 1, 2, 3),
    "spatial_scale": (1.0, 0.5, 0.25),
    "mode": ("avg", "max"),
    "offset": (0.0, 0.5),
    "min_size": (1.0,),
    "start_shift": (0.0, 0.5),
    "end_shift": (0.0, 1.0),
    "max_start": (0.0, -1e4),
    **CHOICES,
}
UGLY: dict[int, tuple[Any, ...]] = {
    AttributeProto.INT: UGLY_INT64,
    AttributeProto.FLOAT: UGLY_FLOATS,
    AttributeProto.STRING: UGLY_TEXTS,
}
_PREFIX = re.compile(r"^\[ONNXRuntimeError\].*?(?:Status Message: |Exception during initialization: )", re.DOTALL)


def attribute_values(rng: np.random.Generator, names: list[str]) -> dict[str, Any]:
    """Some attributes by name; a float as a node holds it."""
    kinds = dict(ATTRIBUTE_TYPES)
    chosen = [name for name in names if rng.random() < 0.6]
    values = {name: pick(rng, GOOD[name]) for name in chosen}
    if rng.random() < 0.4:
        name = pick(rng, names)
        values[name] = pick(rng, UGLY[kinds[name]])
        if rng.random() < 0.1 and names != ["coordinate_transformation_mode"]:
            values[name] = pick(rng, (1, 1.5, "one", [1, 2]))  # of another type, mostly
    with np.errstate(over="ignore"):
        return {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in values.items()}


def pooled(*inputs: str, op: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs, ["pooled"], name="pool", domain=private_op.DOMAIN, **attributes)


def float_model(node: Any, dtype: str, rois_dtype: str, opset: int) -> Any:
    """Inputs and output are float64, which holds every other type, and NumPy has."""
    nodes = [
        helper.make_node("Cast", ["X"], ["features"], to=TYPES[dtype]),
        helper.make_node("Cast", ["rois"], ["boxes"], to=TYPES[rois_dtype]),
        node,
        helper.make_node("Cast", ["pooled"], ["Y"], to=TensorProto.DOUBLE),
    ]
    kinds = {"X": TensorProto.DOUBLE, "rois": TensorProto.DOUBLE, "batch_indices": TensorProto.INT64}
    return private_model(nodes, kinds, opset=opset)


def draw_arrays(rng: np.random.Generator, dtype: Any, rois_dtype: Any) -> dict[str, np.ndarray]:
    """One run's arrays, in one or two places of the wrong shape, count or value."""
    images, channels, height, width = (int(rng.integers(1, most)) for most in (3, 6, 20, 20))
    count = int(rng.integers(0, 5))
    start = rng.uniform(-10, 30, (count, 2))
    rois = np.hstack([start, start + rng.uniform(-3, 30, (count, 2))]).astype(rois_dtype)
    batch_indices = rng.integers(0, images, count)
    shape = (images, channels, height, width)
    X = rng.standard_normal(shape) if dtype.kind not in "iu" else rng.integers(-128, 128, shape)
    arrays = {"X": X.astype(dtype), "rois": rois, "batch_indices": batch_indices}
    ugly = {"X": UGLY_FEATURES, "rois": UGLY_COORDINATES, "batch_indices": UGLY_INDICES}
    name = pick(rng, list(arrays))
    array = arrays[name]
    kind = rng.random()
    if kind < 0.12:
        arrays[name] = pick(rng, (array[None], array.reshape(-1)[:3], array[:1], array[..., :0], array[:0]))
    elif kind < 0.5 and array.size and array.dtype.kind != "u" and array.dtype != np.int8:
        with np.errstate(all="ignore"):
            array.flat[rng.integers(array.size)] = pick(rng, ugly[name])
    return arrays


def session_of(model: Any, path: str, opset: int) -> onnxruntime.InferenceSession:
    options = quiet_options(onnx_roialign__opset=str(opset))
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # so that every tensor lies at its size
    options.enable_mem_pattern = False
    options.register_custom_ops_library(path)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def in_our_words(error: Exception) -> str:
    return _PREFIX.sub("", str(error)).removesuffix(" (node 'pool')")


Verdict = str | np.ndarray
Compared = tuple[str, dict[str, np.ndarray], Verdict, Verdict]


def said(call: Any) -> Verdict:
    """What a call answers, or the text of its refusal without the node's name."""
    try:
        return call()
    except RoiAlignError as error:
        return str(error).removesuffix(" (node 'pool')")
    except Exception as error:  # onnxruntime's own classes, which share no other base
        return in_our_words(error)


def float_session(rng: np.random.Generator, path: str, op: str) -> Iterator[Compared]:
    """One model of RoiAlign or AnyRoiAlign, what was read of it, and some runs."""
    opset = pick(rng, (10, 16, 22) if op == "RoiAlign" else (16,))
    dtype = pick(rng, list(TYPES) if op != "RoiAlign" or opset == 22 else ["float32", "float64", "float16"])
    inputs = "features", "boxes", "batch_indices"
    if op == "RoiAlign":
        rois_dtype = dtype
        values = attribute_values(rng, ["output_height", "output_width", "sampling_ratio", "spatial_scale", "mode"])
        values = {name: v for name, v in values.items() if isinstance(v, type(GOOD[name][0]))}  # else onnxruntime's
        if opset >= 16 and rng.random() < 0.5:
            modes = ("half_pixel", "output_half_pixel", *UGLY_TEXTS)
            values["coordinate_transformation_mode"] = pick(rng, modes[: pick(rng, (2, 2, None))])
        node = roi_align_node(*inputs, "pooled")
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())
    else:
        rois_dtype = pick(rng, list(TYPES))
        node = pooled(*inputs, op=op, **attribute_values(rng, [name for name, _ in ATTRIBUTE_TYPES]))
    model = float_model(node, dtype, rois_dtype, opset)

    def answer(feeds: dict[str, np.ndarray], read: Attributes) -> np.ndarray:
        types = DTYPES[dtype], DTYPES[rois_dtype]
        X, rois = (feeds[name].astype(own) for name, own in zip(("X", "rois"), types, strict=True))
        return reference.roi_align(X, rois, feeds["batch_indices"], read).astype(np.float64)

    def feeds() -> dict[str, np.ndarray]:
        drawn = draw_arrays(rng, DTYPES[dtype], DTYPES[rois_dtype])
        return {name: a if name == "batch_indices" else a.astype(np.float64) for name, a in drawn.items()}

    def read() -> Attributes:
        attributes = read_attributes(node, opset)
        attributes.check_in(DTYPES[dtype])
        return attributes

    for given, want, got in runs(model, path, opset, read, feeds, answer):
        yield dtype, given, want, got


def qlinear_session(rng: np.random.Generator, path: str) -> Iterator[Compared]:
    dtype = pick(rng, ("uint8", "int8"))
    left_out = ("mode", "empty") if rng.random() < 0.8 else ()  # half of their values are refused
    node = qlinear_node(**attribute_values(rng, [name for name, _ in ATTRIBUTE_TYPES if name not in left_out]))
    kinds = {"X": TensorProto.UINT8 if dtype == "uint8" else TensorProto.INT8, "x_scale": TensorProto.FLOAT}
    kinds |= {"x_zero_point": kinds["X"], "rois": TensorProto.FLOAT, "batch_indices": TensorProto.INT64}

    def feeds() -> dict[str, np.ndarray]:
        drawn = draw_arrays(rng, np.dtype(dtype), np.float32)
        scale, zero_point = pick(rng, (0.1, 2.0)), pick(rng, (0, 5, 127))
        if rng.random() < 0.3:
            scale = pick(rng, (*UGLY_FLOATS, 3e38, 1e-38, 3e-39))
        with np.errstate(over="ignore"):
            scalars = {"x_scale": np.float32(scale), "x_zero_point": np.array(zero_point, dtype)}
        shaped = {name: np.full(pick(rng, ((), (), (), (1,), (1, 1), (0,), (2,))), v) for name, v in scalars.items()}
        return {"X": drawn["X"], **shaped, "rois": drawn["rois"], "batch_indices": drawn["batch_indices"]}

    def read() -> Attributes:
        attributes = read_attributes(node, None)
        quantized.check_attributes(attributes)
        attributes.check_in(np.dtype(np.float32))
        return attributes

    def answer(feeds: dict[str, np.ndarray], read: Attributes) -> np.ndarray:
        return quantized.roi_align(*feeds.values(), read)

    for given, want, got in runs(private_model([node], kinds), path, 16, read, feeds, answer):
        yield dtype, given, want, got


def runs(model: Any, path: str, opset: int, read: Any, feeds: Any, answer: Any) -> Iterator[Any]:
    """The verdicts on the model where Python refuses it, else those on some runs of it."""
    attributes = said(read)
    session = said(lambda: session_of(model, path, opset))
    if isinstance(attributes, str) or isinstance(session, str):
        yield {}, attributes if isinstance(attributes, str) else "a session", session
        return
    for _ in range(FEEDS_EACH if math.prod((attributes.output_height, attributes.output_width)) < 1000 else 1):
        given = feeds()
        yield (
            given,
            said(lambda given=given: answer(given, attributes)),
            said(lambda given=given: session.run(None, given)[0]),
        )

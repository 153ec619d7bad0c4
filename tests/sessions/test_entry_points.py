"""Tests that all entry points return the same result, or raise the same error, for a call.

The entry points are roi_align() and session(), each with both engines, session() by both doors of the compiled
library, reference_evaluator(), and the C call. A verdict is the result, or the message of the error without the node's
name.
"""

from __future__ import annotations

import ctypes
import re

import numpy as np
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from quiet import DOORS, how, quiet_options

import onnx_roialign
from onnx_roialign import RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.engines import native
from onnx_roialign.ops import roi_align as private_op

DTYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16}
OTHER_DTYPES = {"int32": TensorProto.INT32, "uint8": TensorProto.UINT8, "int64": TensorProto.INT64}
CHOICES = ("adaptive", "empty", "max_rule", "border")
SECOND = {"adaptive": "floor", "empty": "nan", "max_rule": "samples", "border": "exclusive"}


# ---- random calls ----


def rarely(common, rare):
    """Common values, and now and then an ugly one, so that a call has none, one or two of them."""
    return st.integers(0, 11).flatmap(lambda i: st.sampled_from(rare) if i == 0 else st.sampled_from(common))


def float32s(*values):
    """Floats as a node's attribute stores them: too large for float32 means infinite."""
    with np.errstate(over="ignore"):
        return [float(np.float32(value)) for value in values]


UGLY_FLOATS = float32s(np.nan, np.inf, -np.inf, -0.0, 1e-45, 1e39, -1.0, 3.4e38, -3.4e38, 1e30)
UGLY_INTEGERS = [0, -1, 2**31, 2**40, 2**62, -(2**63)]
UGLY_TEXTS = ["", "median", "AVG", "x" * 300, "a'b"]
UGLY_COORDINATES = [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38, -3e38, 1e300, 65504.0, 1e9]


def attribute_values():
    return st.fixed_dictionaries(
        {},
        optional={
            "output_height": rarely([1, 2, 3], [*UGLY_INTEGERS, 32769]),
            "output_width": rarely([1, 2, 3], [*UGLY_INTEGERS, 40000]),
            "sampling_ratio": rarely([0, 1, 2], [*UGLY_INTEGERS[1:], 16385]),
            "spatial_scale": rarely(float32s(1, 0.5, 0.25), UGLY_FLOATS),
            "mode": rarely(["avg", "max"], UGLY_TEXTS),
            "offset": rarely(float32s(0, 0.5), UGLY_FLOATS),
            "min_size": rarely([1.0], UGLY_FLOATS),
            "end_shift": rarely(float32s(0, 1), UGLY_FLOATS),
            **{name: rarely([SECOND[name]], UGLY_TEXTS) for name in CHOICES},
        },
    )


@st.composite
def calls(draw):
    """Arrays and attributes by name; the attributes are those of the private op, which has all of them."""
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    images, channels, height, width = (draw(rarely(common, [0])) for common in ((1, 2), (1, 3), (5, 7), (6, 9)))
    count = draw(rarely([1, 2, 4], [0]))
    X = rng.standard_normal((images, channels, height, width))
    start = rng.uniform(-4, 12, (count, 2))
    rois = np.hstack([start, start + rng.uniform(-3, 12, (count, 2))])
    batch_indices = rng.integers(0, max(images, 1), count)
    if count and draw(st.integers(0, 9)) == 0:
        rois[rng.integers(count), rng.integers(4)] = draw(st.sampled_from(UGLY_COORDINATES))
    if count and draw(st.integers(0, 9)) == 0:
        batch_indices[rng.integers(count)] = draw(st.sampled_from([-1, 2, 2**31, 2**40, -(2**63)]))
    with np.errstate(all="ignore"):
        arrays = {"X": X.astype(dtype), "rois": rois.astype(dtype), "batch_indices": batch_indices}
    if draw(st.integers(0, 5)) == 0:
        name = draw(st.sampled_from(["X", "rois", "batch_indices"]))
        arrays[name] = draw(st.sampled_from(spoilt(arrays[name])))
    return arrays, draw(attribute_values())


def spoilt(array):
    """The array in wrong types and shapes."""
    # Arrays convert integers of another type where nothing is lost; models refuse them.
    types = {*DTYPES, *(() if array.dtype.kind == "i" else OTHER_DTYPES)} - {array.dtype.name}
    with np.errstate(all="ignore"):
        retyped = [array.astype(name) for name in sorted(types)]
    return [*retyped, array[None], array.reshape(-1)[:3], np.zeros((*array.shape[:-1], 5), array.dtype), array[:1]]


# ---- the entry points ----


def through_roi_align(engine):
    def entry_point(arrays, attributes):
        fields = {name: value for name, value in attributes.items() if name in Semantics.__dataclass_fields__}
        plain = {name: value for name, value in attributes.items() if name not in fields}
        return onnx_roialign.roi_align(*arrays.values(), **plain, semantics=Semantics(**fields), engine=engine)

    return entry_point


def model_of(arrays, attributes, *, shapes):
    """The call as a model of one private op; its inputs declare the arrays' types, and if wanted their shapes."""
    types = DTYPES | OTHER_DTYPES
    inputs = [
        helper.make_tensor_value_info(name, types[array.dtype.name], array.shape if shapes else None)
        for name, array in arrays.items()
    ]
    output = helper.make_tensor_value_info("Y", types[arrays["X"].dtype.name], None)
    node = helper.make_node(private_op.OP_TYPE, list(arrays), ["Y"], "pool", domain=private_op.DOMAIN, **attributes)
    graph = helper.make_graph([node], "graph", inputs, [output])
    imports = [helper.make_opsetid("", 16), helper.make_opsetid(private_op.DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def through_session(engine, *, shapes):
    def entry_point(arrays, attributes):
        model = model_of(arrays, attributes, shapes=shapes)
        return onnx_roialign.session(model, quiet_options(), **how(engine)).run(None, arrays)[0]

    return entry_point


def through_evaluator(arrays, attributes):
    model = model_of(arrays, attributes, shapes=False)
    return onnx_roialign.reference_evaluator(model).run(None, arrays)[0]


def through_c(arrays, attributes):
    """None if the C call cannot express it: it has no names for modes and rules, nor ranks and types of each array.

    Nor can it express a minimum size of -inf, which means no minimum size in C.
    """
    X, rois, batch_indices = (np.ascontiguousarray(array) for array in arrays.values())
    texts = {"mode": "max", **SECOND}
    firsts = {"mode": "avg", **{name: getattr(Semantics(), name) for name in CHOICES}}
    sayable = all(attributes[name] in (texts[name], firsts[name]) for name in texts if name in attributes)
    sayable &= attributes.get("min_size") != -np.inf
    typed = X.dtype.name in DTYPES and X.dtype == rois.dtype and batch_indices.dtype == np.int64
    if not (sayable and typed and X.ndim == 4 and rois.ndim == 2 and rois.shape[1] == 4):
        return None
    if batch_indices.shape != (len(rois),):
        return None
    arguments = native._arguments(Attributes())
    arguments.type = DTYPES[X.dtype.name]
    arguments.N, arguments.C, arguments.H, arguments.W = X.shape
    arguments.num_rois = len(rois)
    members = {"mode": "mode_max", "adaptive": "adaptive_floor", "empty": "empty_nan", "max_rule": "max_samples"}
    members["border"] = "border_exclusive"
    for name, value in attributes.items():
        setattr(arguments, members.get(name, name), value == texts[name] if name in texts else value)
    sizes = arguments.output_height, arguments.output_width
    fits = all(0 < size <= 32768 for size in sizes)
    Y = np.empty((len(rois), X.shape[1], *(sizes if fits else (1, 1))), X.dtype)
    arguments.X, arguments.rois, arguments.batch_indices, arguments.Y = (
        array.ctypes.data for array in (X, rois, batch_indices, Y)
    )
    message = ctypes.create_string_buffer(2048)
    if native._library().onnx_roialign_call(ctypes.byref(arguments), message, ctypes.sizeof(message)):
        raise RoiAlignError("", "range", message.value.decode())
    return Y


ENTRY_POINTS = {
    "roi_align, reference": through_roi_align("reference"),
    "roi_align, native": through_roi_align("native"),
    **{f"session, {door}": through_session(door, shapes=False) for door in DOORS},
    **{f"session, {door}, shapes declared": through_session(door, shapes=True) for door in DOORS},
    "session, reference": through_session("reference", shapes=False),
    "reference_evaluator": through_evaluator,
    "C": through_c,
}

# The words that onnxruntime puts before a kernel's message.
_PREFIX = re.compile(
    r"^\[ONNXRuntimeError\].*?"
    r"(?:Status Message: |Exception during initialization: |INVALID_ARGUMENT : (?!Non-zero))"
)


def verdict(entry_point, arrays, attributes):
    try:
        return entry_point(arrays, attributes)
    except RoiAlignError as error:
        text = str(error)
    except Exception as error:
        text = _PREFIX.sub("", str(error))
    return text.removesuffix(" (node 'pool')")


def assert_same(got, want, arrays, name):
    if isinstance(want, str) or isinstance(got, str):
        assert got == want, name
        return
    assert (got.dtype, got.shape) == (want.dtype, want.shape), name
    unit = max(np.abs(arrays["X"].astype(np.float64)).max(initial=0.0), 1e-30)
    bar = {"float32": tolerances.FLOAT32, "float64": tolerances.FLOAT64, "float16": 2**-10}[want.dtype.name]
    np.testing.assert_allclose(got, want, rtol=0, atol=bar * unit, err_msg=name)


@settings(max_examples=400, deadline=None)
@given(call=calls())
def test_every_entry_point_gives_one_verdict(call):
    arrays, attributes = call
    want = None
    for name, entry_point in ENTRY_POINTS.items():
        got = verdict(entry_point, arrays, attributes)
        if got is None:
            continue
        want = got if want is None else want
        assert_same(got, want, arrays, name)

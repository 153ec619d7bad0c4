"""Random sessions of each op, most of them malformed in one or two places, and Python's result for each.

The library is registered directly, as from C++: no Python reads the model before it does. `malformed_inputs` draws
the attributes and the arrays.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from malformed_calls import pick
from malformed_inputs import DRAWERS, GOOD, UGLY_TEXTS, attribute_values, draw_one_map, roi_align_attributes
from onnx import TensorProto, helper
from quiet import DOORS, quiet_options

from models import DTYPES, model_of, value
from onnx_roialign import RoiAlignError
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.element_types import FLOATS
from onnx_roialign.definition.pyramid import Pyramid
from onnx_roialign.ops.nodes import STANDARD_ATTRIBUTES, check_form, read_any
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.ops.table import OPS, Op

FEEDS_EACH = 4
STANDARD = "RoiAlign"  # ONNX's, beside the ops of the table
_PREFIX = re.compile(
    r"^\[ONNXRuntimeError\].*?"
    r"(?:Status Message: |Exception during initialization: |INVALID_ARGUMENT : (?!Non-zero|Exception))",
    re.DOTALL,
)
_FLOAT_NAMES = {kind.name for kind in FLOATS}

Arrays = Mapping[str, np.ndarray]
Verdict = str | np.ndarray
# The element type of the output, the arrays of one run, and the results of the reference and the session.
Compared = tuple[str, Arrays, Verdict, Verdict]


def session_of(
    model: onnx.ModelProto, path: str, opset: int, door: str = "custom_op", **provider_options: str
) -> onnxruntime.InferenceSession:
    options = quiet_options(onnx_roialign__opset=str(opset))
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # so that every tensor lies at its size
    options.enable_mem_pattern = False
    if door == "provider":
        options.add_provider_for_devices([device_of(path)], provider_options)
        return onnxruntime.InferenceSession(model.SerializeToString(), options)
    options.register_custom_ops_library(path)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@functools.cache
def device_of(path: str) -> Any:
    """onnxruntime's handle of the execution provider in the library of this path."""
    onnxruntime.register_execution_provider_library("malformed", path)
    (found,) = (one for one in onnxruntime.get_ep_devices() if one.ep_metadata.get("library_path") == path)
    return found


def said(call: Callable[[], Any]) -> Any:
    """The result of a call, or the text of its error without the node's name."""
    try:
        return call()
    except RoiAlignError as error:
        return str(error).removesuffix(" (node 'pool')")
    except Exception as error:  # onnxruntime's own classes, which share no other base
        return _PREFIX.sub("", str(error)).removesuffix(" (node 'pool')")


def is_refusal(verdict: Any) -> bool:
    return isinstance(verdict, str)


def dtype_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def wide_model(node: onnx.NodeProto, types: Mapping[str, str], output_type: str, opset: int) -> onnx.ModelProto:
    """One node; inputs and output of float types are float64, which holds every one of them and NumPy has, and cast."""
    inputs, casts = [], []
    for name, dtype in types.items():
        kind = helper.np_dtype_to_tensor_dtype(dtype_of(dtype))
        is_float = dtype in _FLOAT_NAMES
        inputs.append(value(f"{name}_in", TensorProto.DOUBLE if is_float else kind))
        casts.append(helper.make_node("Cast", [f"{name}_in"], [name], to=kind))
    real = output_type in _FLOAT_NAMES
    to = TensorProto.DOUBLE if real else helper.np_dtype_to_tensor_dtype(np.dtype(output_type))
    nodes = [*casts, node, helper.make_node("Cast", ["pooled"], ["Y"], to=to)]
    return model_of(nodes, inputs, [value("Y", to)], opset, domains=(DOMAIN,))


def widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.name in _FLOAT_NAMES else array


def standard_session(rng: np.random.Generator, path: str) -> Iterator[Compared]:
    """One model of ONNX's RoiAlign, through one of the library's doors."""
    opset = pick(rng, (10, 16, 22))
    dtype = pick(rng, [kind.name for kind in FLOATS] if opset == 22 else ["float32", "float64", "float16"])
    values = attribute_values(rng, roi_align_attributes(STANDARD_ATTRIBUTES))
    values = {
        name: v for name, v in values.items() if isinstance(v, type(GOOD[name][0]))
    }  # else the words are onnxruntime's
    if opset >= 16 and rng.random() < 0.5:
        modes = ("half_pixel", "output_half_pixel", *UGLY_TEXTS)
        values["coordinate_transformation_mode"] = pick(rng, modes[: pick(rng, (2, 2, None))])
    names = ("X", "rois", "batch_indices")
    node = helper.make_node("RoiAlign", names, ["pooled"], name="pool", **values)
    types = {"X": dtype, "rois": dtype, "batch_indices": "int64"}
    read = functools.partial(read_any, node, opset)
    door = pick(rng, DOORS)
    yield from runs(
        lambda: session_of(wide_model(node, types, dtype, opset), path, opset, door),
        lambda: checked_numbers(read(), dtype),
        reference.roi_align,
        lambda: draw_one_map(rng, {name: dtype_of(kind) for name, kind in types.items()}),
        dtype,
    )


@dataclass(frozen=True)
class Signature:
    """One way to call an op.

    Attributes:
        types: of each type parameter, NumPy's name.
        maps: how many of the last input, where it is variadic.
        left_out: inputs that the node does not have.
    """

    types: Mapping[str, str]
    maps: int = 1
    left_out: tuple[str, ...] = ()

    def inputs(self, op: Op) -> dict[str, str]:
        """By name in order, the type of each; empty for one that is left out."""
        kinds = {
            f"{name}{i}" if op.variadic and name == op.input_names[-1] else name: kind
            for name, kind in op.inputs.items()
            for i in range(self.maps if op.variadic and name == op.input_names[-1] else 1)
        }
        return {
            name: "" if name in self.left_out else self.types.get(kind) or _numpy_name(kind)
            for name, kind in kinds.items()
        }

    def node(self, op: Op, name: str, attributes: Mapping[str, Any]) -> onnx.NodeProto:
        """A node of the op, by one of its names."""
        inputs = [given if kind else "" for given, kind in self.inputs(op).items()]
        return helper.make_node(name, inputs, ["pooled"], name="pool", domain=DOMAIN, **attributes)

    def session(self, op: Op, node: onnx.NodeProto, path: str) -> onnxruntime.InferenceSession:
        """The node in a session that has only the library of this path."""
        types = {given: kind for given, kind in self.inputs(op).items() if kind}
        return session_of(wide_model(node, types, next(iter(self.types.values())), 16), path, 16)


def private_session(rng: np.random.Generator, path: str, op: Op) -> Iterator[Compared]:
    """One model of an op of the table: any name, types, optional inputs and number of inputs."""
    drawer = DRAWERS[op.name]
    signature = Signature(
        {parameter: pick(rng, kinds).name for parameter, kinds in op.types.items()},
        pick(rng, range(1, 9)) if op.variadic else 1,
        tuple(name for name in op.optional if rng.random() < 0.5),
    )
    inputs = signature.inputs(op)
    values = attribute_values(rng, drawer.attributes(rng, op, signature.maps))
    node = signature.node(op, pick(rng, op.names), values)
    output_type = next(iter(signature.types.values()))

    def read() -> Any:
        check_form(node, None)
        return checked_numbers(read_any(node, None), output_type)

    def feeds() -> Arrays:
        return drawer.arrays(rng, {name: dtype_of(kind) for name, kind in inputs.items() if kind})

    def answer(*arguments: Any) -> np.ndarray:
        *arrays, attributes = arguments
        given = iter(arrays)
        return op.compute(*(next(given) if kind else None for kind in inputs.values()), attributes)

    yield from runs(lambda: signature.session(op, node, path), read, answer, feeds, output_type)


def _numpy_name(kind: str) -> str:
    """ "tensor(float)" -> "float32"."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return next((element.name for element in FLOATS if element.onnx_name == name), name)


def checked_numbers(read: Any, dtype: str) -> Any:
    """The facts of a node, after the checks that a kernel makes when it is created for a type of features."""
    calls: Sequence[Attributes] = ()
    if isinstance(read, Attributes):
        calls = (read,)
    elif isinstance(read, Pyramid):
        calls = [read.at(level) for level in range(len(read.spatial_scales))]
    for attributes in calls:
        attributes.check_in(DTYPES.get(dtype, np.dtype(np.float32)))
    return read


def runs(
    make: Callable[[], Any],
    read: Callable[[], Any],
    answer: Callable[..., Any],
    feeds: Callable[[], Arrays],
    dtype: str,
) -> Iterator[Compared]:
    """The verdicts on the model if both refuse it, else those on some runs of it."""
    attributes, session = said(read), said(make)
    if is_refusal(attributes) and is_refusal(session):
        yield dtype, {}, attributes, session
        return
    for _ in range(FEEDS_EACH):
        given = feeds()
        want = attributes if is_refusal(attributes) else said(lambda given=given: answer(*given.values(), attributes))
        wide = {f"{name}_in": widened(array) for name, array in given.items()}
        got = session if is_refusal(session) else said(lambda wide=wide: session.run(None, wide)[0])
        yield dtype, given, want if is_refusal(want) else widened(want), got


# By name: one model at random, and the verdicts on it.
SESSIONS: Mapping[str, Callable[[np.random.Generator, str], Iterator[Compared]]] = {
    STANDARD: standard_session,
    **{op.name: functools.partial(private_session, op=op) for op in OPS},
}

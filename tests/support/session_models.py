"""Small models around RoiAlign for the session tests, their inputs, and what the reference answers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import onnx_roialign
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import from_onnx
from onnx_roialign.sessions.installed import loads_opset

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
DTYPES = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in TYPES}

SHAPE = {"output_height": 3, "output_width": 2, "sampling_ratio": 2, "spatial_scale": 0.5}

_rng = np.random.default_rng(0)
X = _rng.standard_normal((2, 5, 9, 11)).astype(np.float32)
ROIS = np.array([[0, 0, 10, 10], [1.5, 2, 17, 12.25], [-6, 1, 40, 8], [3, 3, 3.5, 3.25]], np.float32)
BATCH_INDICES = np.array([0, 1, 1, 0])
FEEDS = {"X": X, "rois": ROIS, "batch_indices": BATCH_INDICES}


def quiet_options(**entries: str) -> onnxruntime.SessionOptions:
    """Session options that keep onnxruntime's log of the errors that tests ask for off the screen."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    for key, value in entries.items():
        options.add_session_config_entry(key.replace("__", "."), value)
    return options


def bare_options(opset: int | None = None) -> onnxruntime.SessionOptions:
    """What a caller from C, C++, C# or Java has: the library, and perhaps the one config entry."""
    options = quiet_options() if opset is None else quiet_options(onnx_roialign__opset=str(opset))
    options.register_custom_ops_library(onnx_roialign.library_path())
    return options


def bare_session(proto: onnx.ModelProto, opset: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the bare library, as from C++; the opset is what the config entry says."""
    return onnxruntime.InferenceSession(proto.SerializeToString(), bare_options(opset), ["CPUExecutionProvider"])


def quiet_session(proto: Any, engine: str = "native", **kwargs: Any) -> onnxruntime.InferenceSession:
    """onnx_roialign.session() without onnxruntime's log."""
    return onnx_roialign.session(proto, quiet_options(), engine=engine, **kwargs)


def roi_align_node(*names: str, name: str = "pool", **attributes: Any) -> onnx.NodeProto:
    inputs = names or ("X", "rois", "batch_indices", "Y")
    return helper.make_node("RoiAlign", inputs[:3], inputs[3:], name=name, **{**SHAPE, **attributes})


def value(name: str, element_type: int, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, shape)


def make_model(
    nodes: list[onnx.NodeProto],
    opset: int,
    *,
    element_type: int = TensorProto.FLOAT,
    shapes: tuple[Any, Any, Any] = (None, None, None),
    outputs: tuple[tuple[str, int], ...] | None = None,
    functions: tuple[onnx.FunctionProto, ...] = (),
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    kinds = (("X", element_type), ("rois", element_type), ("batch_indices", TensorProto.INT64))
    graph = helper.make_graph(
        nodes,
        "graph",
        [value(name, kind, shape) for (name, kind), shape in zip(kinds, shapes, strict=True)],
        [value(name, kind) for name, kind in outputs or (("Y", element_type),)],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)


def model(opset: int = 16, *, element_type: int = TensorProto.FLOAT, **attributes: Any) -> onnx.ModelProto:
    """One RoiAlign; shapes are left open, so that onnxruntime lets bad ones through to the kernel."""
    return make_model([roi_align_node(**attributes)], opset, element_type=element_type)


def cast_model(opset: int, element_type: int, **attributes: Any) -> onnx.ModelProto:
    """One RoiAlign of a type that NumPy arrays cannot carry into onnxruntime: float32 at its boundary, cast inside."""
    nodes = [
        helper.make_node("Cast", ["X"], ["X_cast"], to=element_type),
        helper.make_node("Cast", ["rois"], ["rois_cast"], to=element_type),
        roi_align_node("X_cast", "rois_cast", "batch_indices", "Y_cast", **attributes),
        helper.make_node("Cast", ["Y_cast"], ["Y"], to=TensorProto.FLOAT),
    ]
    return make_model(nodes, opset)


def expected(opset: int, coordinate_mode: str | None = None, dtype: Any = np.float32, **attributes: Any) -> np.ndarray:
    """The reference's answer for FEEDS at this opset, where coordinate_mode is the node's attribute, if it has one."""
    semantics = from_onnx(opset, coordinate_mode)
    return reference.roi_align(
        X.astype(dtype), ROIS.astype(dtype), BATCH_INDICES, Attributes(**{**SHAPE, **attributes}, semantics=semantics)
    )


def run(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray] | None = None) -> np.ndarray:
    return session.run(None, FEEDS if feeds is None else feeds)[0]


# onnxruntime 1.20 has no such option in Python.
GLOBAL_POOL = pytest.mark.skipif(
    not hasattr(onnxruntime.SessionOptions, "use_per_session_threads"), reason="this onnxruntime has no global pool"
)


def run_all(model: Any, feeds: dict[str, Any], **arguments: Any) -> list[Any]:
    """Every output of a model in a session of ours."""
    return quiet_session(model, **arguments).run(None, feeds)


def newest_opset() -> int:
    """The newest opset that this onnxruntime loads, of those that onnx knows."""
    return max(filter(loads_opset, range(21, onnx.defs.onnx_opset_version() + 1)))


# What every session test runs at.
OPSETS = tuple(sorted({10, 11, 12, 13, 15, 16, 18, 20, 21, newest_opset()}))


def wrong_in_onnx_before(version: tuple[int, int], what: str) -> pytest.MarkDecorator:
    """Expects the test to fail with an older onnx, whose own reference evaluator is wrong, and nothing of ours."""
    installed = tuple(map(int, onnx.__version__.split(".")[:2]))
    return pytest.mark.xfail(installed < version, reason=f"onnx.reference before {version[0]}.{version[1]}: {what}")


def branches(opset):
    """An If whose branches pool differently, one of them two graphs deep; the condition is an input."""

    def body(name, nodes, output):
        return helper.make_graph(nodes, name, [], [value(output, TensorProto.FLOAT)])

    legacy = {"coordinate_transformation_mode": "output_half_pixel"}
    inner = body("inner", [roi_align_node("X", "rois", "batch_indices", "deep", name="deep", **legacy)], "deep")
    other = body("other", [helper.make_node("Identity", ["X"], ["never"])], "never")
    nested = helper.make_node("If", ["condition"], ["nested"], then_branch=inner, else_branch=other)
    outer = helper.make_node(
        "If",
        ["condition"],
        ["Y"],
        then_branch=body("then", [nested], "nested"),
        else_branch=body("else", [roi_align_node("X", "rois", "batch_indices", "flat", name="flat")], "flat"),
    )
    proto = make_model([outer], opset)
    proto.graph.input.append(value("condition", TensorProto.BOOL, ()))
    return proto


def with_function(opset, function_opset, *, outer=False, **attributes):
    """A model whose function pools, at an opset of its own, and which pools itself too where outer is set."""
    node = roi_align_node("x", "r", "b", "y", name="inner", **attributes)
    function = helper.make_function(
        "local", "Pool", ["x", "r", "b"], ["y"], [node], [helper.make_opsetid("", function_opset)]
    )
    nodes = [helper.make_node("Pool", ["X", "rois", "batch_indices"], ["Y"], name="call", domain="local")]
    if outer:
        nodes = [nodes[0], roi_align_node("X", "rois", "batch_indices", "Z", name="outer")]
    return make_model(nodes, opset, functions=(function,), domains=("local",))

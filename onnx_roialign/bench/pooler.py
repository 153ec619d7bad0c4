"""The contestants of `bench --pooler`: a pooler as one call, as one call per level, and in ONNX's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_roialign.arrays import Array
from onnx_roialign.bench.peers import OURS, Contestant, Prepared, find_contestants, run_bound, session_on
from onnx_roialign.bench.workloads import WORKLOADS, Workload
from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.graph import unfuse
from onnx_roialign.ops.multiscale_roi_align import make_node
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["POOLERS", "SINGLE_LEVELS", "pooler_contestants"]

POOLERS = tuple(name for name in WORKLOADS if name.startswith("fpn_"))
SINGLE_LEVELS = "single levels"
_OPSET = 16
_SEED = 5
_RULE = LevelRule(log_epsilon=1e-6, floor_epsilon=0.0)  # the rule of `workloads`


def pooler_contestants(isa: str) -> tuple[Contestant, ...]:
    """Returns the contestants of a pooler.

    They are compared on one instruction set: one MultiScaleRoiAlign; one RoiAlign per level with the RoIs of the level;
    and the pooler in ONNX's own operators, as `unfuse` writes it, with ONNX Runtime's RoiAlign and with ours.
    """
    (levels, *_), _ = find_contestants((), (isa,), "avg")
    return (
        Contestant(OURS, isa, "corners", partial(_one_call, start=_on(isa)), own_threads=True),
        Contestant(SINGLE_LEVELS, None, "corners", levels.prepare, own_threads=True),
        Contestant("unfused, onnxruntime", None, "corners", _unfused(partial(session, engine="builtin"))),
        Contestant("unfused, our RoiAlign", None, "corners", _unfused(_on(isa))),
    )


def _on(isa: str) -> Callable[..., Any]:
    return lambda model, options: session_on(model, isa, options)


def _unfused(start: Callable[..., Any]) -> Callable[[Workload, int], Prepared]:
    return partial(_one_call, start=start, change=unfuse)


def _one_call(
    workload: Workload,
    threads: int,
    *,
    start: Callable[..., Any],
    change: Callable[[onnx.ModelProto], onnx.ModelProto] = lambda model: model,
) -> Prepared:
    """Prepares a session with the RoIs of all levels in one tensor, in random order, as in a detector."""
    calls = workload.calls
    count = sum(len(call.rois) for call in calls)
    order = np.random.default_rng(_SEED).permutation(count)
    arrays = {f"X{i}": call.X for i, call in enumerate(calls)}
    arrays["rois"] = np.concatenate([call.rois for call in calls])[order]
    arrays["batch_indices"] = np.concatenate([call.batch_indices for call in calls])[order]
    Y = np.full((count, *calls[0].output_shape[1:]), np.nan, calls[0].X.dtype)
    options = silent_options()
    options.intra_op_num_threads = threads
    running = start(change(_model(workload, arrays, Y)), options)
    binding = running.io_binding()
    for name, array in arrays.items():
        binding.bind_input(name, "cpu", 0, _type(array), array.shape, array.ctypes.data)
    binding.bind_output("Y", "cpu", 0, _type(Y), Y.shape, Y.ctypes.data)

    def outputs() -> Sequence[Array]:
        rows = np.empty_like(Y)
        rows[order] = Y
        return np.split(rows, np.cumsum([len(call.rois) for call in calls])[:-1])

    return Prepared(partial(run_bound, running, binding, (arrays, Y)), outputs)


def _model(workload: Workload, arrays: dict[str, Array], Y: Array) -> onnx.ModelProto:
    calls = workload.calls
    scales = tuple(call.attributes.spatial_scale for call in calls)
    pyramid = Pyramid(scales, _RULE, calls[0].attributes)
    node = make_node("rois", "batch_indices", [f"X{i}" for i in range(len(calls))], "Y", pyramid)
    graph = helper.make_graph(
        [node],
        workload.name,
        [helper.make_tensor_value_info(name, _type(array), array.shape) for name, array in arrays.items()],
        [helper.make_tensor_value_info("Y", _type(Y), Y.shape)],
    )
    imports = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, OPSET_VERSION)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def _type(array: Array) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))

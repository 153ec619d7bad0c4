"""The contestants of the benchmark: this package's kernel, and every installed RoiAlign that runs on a CPU.

ONNX Runtime and this package's kernel run in sessions whose inputs and outputs are bound to the caller's memory, so
that a run copies nothing and allocates no output. The other peers are called as their users call them: OpenVINO
through an inference request on shared memory; torchvision, Paddle and MindSpore allocate their outputs.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from onnx_roialign.arrays import Array
from onnx_roialign.bench.workloads import Workload, is_half_pixel
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.onnx_form import coordinate_mode
from onnx_roialign.engines import native
from onnx_roialign.errors import one_line
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["OURS", "PEERS", "Contestant", "Prepared", "find_contestants", "run_bound", "session_on"]

OURS = "ours"
_ISA_ENTRY = "onnx_roialign.isa"  # read by the library when it is registered
_OPSET = 16  # the newest opset for which ONNX Runtime has a RoiAlign kernel
_SIXTEEN_BIT = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workload that is ready to run on one contestant.

    Attributes:
        run: computes every call of the workload.
        outputs: returns the outputs of the last run, one array per call.
    """

    run: Callable[[], object]
    outputs: Callable[[], Sequence[Array]]


@dataclass(frozen=True, slots=True)
class Contestant:
    """An implementation of RoiAlign that the benchmark times.

    Attributes:
        name: "ours", one of PEERS, or for mode max also "direct corners" or "direct samples".
        isa: the instruction set that it must use; None for a peer, which chooses its own.
        max_rule: its rule for the maximum in mode max, as in `Semantics.max_rule`.
        prepare: prepares a workload for a number of threads; raises if it cannot run the workload.
        own_threads: whether each prepared workload has its own number of threads; else the process has one number.
    """

    name: str
    isa: str | None
    max_rule: Literal["corners", "samples"]
    prepare: Callable[[Workload, int], Prepared]
    own_threads: bool = False

    @property
    def label(self) -> str:
        """The name, and the instruction set if one is prescribed."""
        return self.name if self.isa is None else f"{self.name}, {self.isa}"


def find_contestants(
    peers: Sequence[str], isas: Sequence[str], mode: str
) -> tuple[tuple[Contestant, ...], dict[str, str]]:
    """Returns the contestants that can be imported, ours first, and for each other peer the reason why it cannot.

    With mode "max" this package's kernel is also called directly, with both rules for the maximum, because a session
    has only ONNX's rule.

    Args:
        peers: some of PEERS.
        isas: some of `native.available_isas()`.
        mode: "avg" or "max".
    """
    contestants = [Contestant(OURS, isa, "corners", partial(_ours, isa=isa), own_threads=True) for isa in isas]
    if mode == "max":
        contestants += [
            Contestant(f"direct {rule}", isa, rule, partial(_direct, isa=isa, max_rule=rule))
            for rule in ("corners", "samples")
            for isa in isas
        ]
    missing = {}
    for name in peers:
        module, max_rule, prepare, own_threads = _PEERS[name]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(module)
        except Exception as error:  # a broken installation can raise anything
            missing[name] = one_line(error)
        else:
            contestants.append(Contestant(name, None, max_rule, prepare, own_threads))
    return tuple(contestants), missing


def session_on(model: onnx.ModelProto, isa: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Returns a session on this package's kernel with one instruction set, set by a config entry in the options."""
    options.add_session_config_entry(_ISA_ENTRY, isa)
    return session(model, options)


def _ours(workload: Workload, threads: int, *, isa: str) -> Prepared:
    return _bound(session_on(_model(workload, casts=False), isa, _options(threads)), workload)


def _onnxruntime(workload: Workload, threads: int) -> Prepared:
    # It has no 16-bit kernel: its users cast to float32, pool, and cast back.
    model = _model(workload, casts=workload.calls[0].X.dtype.name in _SIXTEEN_BIT)
    return _bound(session(model, _options(threads), engine="builtin"), workload)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = silent_options()
    options.intra_op_num_threads = threads
    return options


def _model(workload: Workload, *, casts: bool) -> onnx.ModelProto:
    """Returns a model of one RoiAlign per call; with casts, each is computed in float32 between Casts."""
    nodes, inputs, outputs = [], [], []
    for i, call in enumerate(workload.calls):
        arrays = {f"X{i}": call.X, f"rois{i}": call.rois, f"batch_indices{i}": call.batch_indices}
        inputs += [helper.make_tensor_value_info(name, _type(a), a.shape) for name, a in arrays.items()]
        outputs.append(helper.make_tensor_value_info(f"Y{i}", _type(call.X), call.output_shape))
        names = [*arrays, f"Y{i}"]
        if casts:
            X, rois, indices, Y = names
            names = [f"{X}_float32", f"{rois}_float32", indices, f"{Y}_float32"]
            nodes += [helper.make_node("Cast", [a], [f"{a}_float32"], to=TensorProto.FLOAT) for a in (X, rois)]
        nodes.append(_node(call, names))
        if casts:
            nodes.append(helper.make_node("Cast", names[3:], [f"Y{i}"], to=_type(call.X)))
    graph = helper.make_graph(nodes, workload.name, inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def _node(call: Call, names: Sequence[str]) -> onnx.NodeProto:
    attributes = call.attributes
    return helper.make_node(
        "RoiAlign",
        names[:3],
        names[3:],
        name=f"roi_align_{names[0]}",
        **attributes.plain(),
        coordinate_transformation_mode=coordinate_mode(attributes, _OPSET),
    )


def _type(array: Array) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _bound(running: onnxruntime.InferenceSession, workload: Workload) -> Prepared:
    """Binds the session's inputs to the workload's arrays and its outputs to new arrays."""
    binding = running.io_binding()
    outputs = [_nan(call.output_shape, call.X.dtype) for call in workload.calls]
    for i, call in enumerate(workload.calls):
        arrays = {f"X{i}": call.X, f"rois{i}": call.rois, f"batch_indices{i}": call.batch_indices}
        for name, array in arrays.items():
            binding.bind_input(name, "cpu", 0, _type(array), array.shape, array.ctypes.data)
        binding.bind_output(f"Y{i}", "cpu", 0, _type(outputs[i]), outputs[i].shape, outputs[i].ctypes.data)

    return Prepared(partial(run_bound, running, binding, (workload, outputs)), lambda: outputs)


def run_bound(running: onnxruntime.InferenceSession, binding: Any, arrays: object) -> None:
    """Runs the session. The argument `arrays` keeps the arrays alive: the binding holds only their addresses."""
    running.run_with_iobinding(binding)


def _nan(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Returns an array whose memory pages exist, so that no page fault is timed; NaN shows values not written."""
    return np.full(shape, np.nan, dtype)


def _direct(workload: Workload, threads: int, *, isa: str, max_rule: Literal["corners", "samples"]) -> Prepared:
    attributes = [
        replace(call.attributes, semantics=replace(call.attributes.semantics, max_rule=max_rule))
        for call in workload.calls
    ]
    calls = [
        partial(native.roi_align, call.X, call.rois, call.batch_indices, a, threads=threads, isa=isa)
        for call, a in zip(workload.calls, attributes, strict=True)
    ]
    return _called(calls, lambda Y: Y)


def _called(calls: Sequence[Callable[[], Any]], to_numpy: Callable[[Any], Array]) -> Prepared:
    """Prepares functions that allocate their output; each run first frees the outputs of the last run, as users do."""
    kept: list[Any] = []

    def run() -> None:
        kept.clear()
        kept.extend(call() for call in calls)

    return Prepared(run, lambda: [to_numpy(Y) for Y in kept])


def _with_image(call: Call) -> Array:
    """Returns (K, 5) rows image, x1, y1, x2, y2."""
    return np.concatenate([call.batch_indices[:, None].astype(call.rois.dtype), call.rois], axis=1)


def _torchvision(workload: Workload, threads: int) -> Prepared:
    _require(workload, mode="avg")
    torch, ops = importlib.import_module("torch"), importlib.import_module("torchvision.ops")
    torch.set_num_threads(threads)

    def tensor(array: Array) -> Any:
        if array.dtype.name == "bfloat16":  # NumPy does not have the type: the bits are passed on as int16
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    def to_numpy(Y: Any) -> Array:
        dtype = workload.calls[0].X.dtype
        array: Array = Y.view(torch.int16).numpy().view(dtype) if dtype.name == "bfloat16" else Y.numpy()
        return array

    return _called(
        [
            partial(
                ops.roi_align,
                tensor(call.X),
                tensor(_with_image(call)),
                call.output_shape[2:],
                spatial_scale=call.attributes.spatial_scale,
                sampling_ratio=call.attributes.sampling_ratio or -1,
                aligned=is_half_pixel(call),
            )
            for call in workload.calls
        ],
        to_numpy,
    )


def _openvino(workload: Workload, threads: int) -> Prepared:
    _require(workload, dtypes=("float32", "float16"))
    ov, opset = importlib.import_module("openvino"), importlib.import_module("openvino.opset9")
    parameters, results, tensors = [], [], []
    for call in workload.calls:
        arrays = (call.X, call.rois, call.batch_indices)
        inputs = [opset.parameter(list(array.shape), array.dtype.type) for array in arrays]
        attributes = call.attributes
        parameters += inputs
        tensors += [ov.Tensor(array, shared_memory=True) for array in arrays]
        results.append(
            opset.roi_align(
                *inputs,
                pooled_h=attributes.output_height,
                pooled_w=attributes.output_width,
                sampling_ratio=attributes.sampling_ratio,
                spatial_scale=attributes.spatial_scale,
                mode=attributes.mode,
                # Its "half_pixel" differs from ONNX's: (x + 0.5) * spatial_scale - 0.5.
                aligned_mode="half_pixel_for_nn" if is_half_pixel(call) else "asymmetric",
            )
        )
    # Without the precision hint it computes in bfloat16 where the CPU has instructions for it.
    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(ov.Model(results, parameters), "CPU", config).create_infer_request()
    for i, tensor in enumerate(tensors):
        request.set_input_tensor(i, tensor)
    outputs = [request.get_output_tensor(i) for i in range(len(results))]
    return Prepared(request.infer, lambda: [tensor.data for tensor in outputs])


def _paddle(workload: Workload, threads: int) -> Prepared:
    # Its CPU kernel always runs on one thread.
    _require(workload, mode="avg", dtypes=("float32", "float64"), sorted_images=True)
    paddle = importlib.import_module("paddle")
    ops = importlib.import_module("paddle.vision.ops")
    paddle.set_device("cpu")
    return _called(
        [
            partial(
                ops.roi_align,
                paddle.to_tensor(call.X),
                paddle.to_tensor(call.rois),
                paddle.to_tensor(np.bincount(call.batch_indices, minlength=len(call.X)).astype(np.int32)),
                list(call.output_shape[2:]),
                spatial_scale=call.attributes.spatial_scale,
                sampling_ratio=call.attributes.sampling_ratio or -1,
                aligned=is_half_pixel(call),
            )
            for call in workload.calls
        ],
        lambda Y: np.asarray(Y.numpy()),
    )


def _mindspore(workload: Workload, threads: int) -> Prepared:
    # It has no half_pixel, and its adaptive grid rounds down; the results of such workloads would differ.
    _require(workload, mode="avg", dtypes=("float32", "float16"), plain=True)
    mindspore = importlib.import_module("mindspore")
    mindspore.set_context(device_target="CPU", runtime_num_threads=threads)

    def bind(call: Call) -> Callable[[], Array]:
        a = call.attributes
        op = mindspore.ops.ROIAlign(a.output_height, a.output_width, a.spatial_scale, a.sampling_ratio, 0)
        X, rois = mindspore.Tensor(call.X), mindspore.Tensor(_with_image(call))
        return lambda: np.asarray(op(X, rois).asnumpy())  # a call returns before it has finished; asnumpy waits

    return _called([bind(call) for call in workload.calls], lambda Y: Y)


def _require(
    workload: Workload,
    *,
    mode: str | None = None,
    dtypes: Sequence[str] | None = None,
    sorted_images: bool = False,
    plain: bool = False,
) -> None:
    """Raises ValueError with the reason, for the table, if the peer cannot run the workload."""
    for call in workload.calls:
        if mode is not None and call.attributes.mode != mode:
            raise ValueError(f"has no mode {call.attributes.mode}")
        if dtypes is not None and call.X.dtype.name not in dtypes:
            raise ValueError(f"has no {call.X.dtype} here, only {' and '.join(dtypes)}")
        if sorted_images and np.any(np.diff(call.batch_indices) < 0):
            raise ValueError("accepts RoIs only in the order of their images")
        if plain and (is_half_pixel(call) or call.attributes.sampling_ratio == 0):
            raise ValueError("has neither half_pixel nor ONNX's adaptive grid")


_Prepare = Callable[[Workload, int], Prepared]

# For each name the module to import, and max_rule, prepare and own_threads of the contestant.
_PEERS: Mapping[str, tuple[str, Literal["corners", "samples"], _Prepare, bool]] = MappingProxyType(
    {
        "onnxruntime": ("onnxruntime", "corners", _onnxruntime, True),
        "torchvision": ("torchvision", "corners", _torchvision, False),
        "openvino": ("openvino", "samples", _openvino, True),
        "mindspore": ("mindspore", "corners", _mindspore, False),
        "paddle": ("paddle", "corners", _paddle, False),  # last, because MindSpore does not load after Paddle's oneDNN
    }
)
PEERS = tuple(_PEERS)

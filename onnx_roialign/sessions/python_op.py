"""Engine "reference" inside a session: the NumPy implementation as a Python op of onnxruntime-extensions.

Two limits of onnxruntime-extensions (0.15.2) shape this module:

- An exception in a Python op ends the process. So the op keeps it, answers nothing, and `run()` raises it.
- The ops of one domain lie in one vector, to whose elements sessions point: declaring one more moves them all. So these
  have a domain of their own, and are declared together and once.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import onnxruntime_extensions

from onnx_roialign.arrays import Array
from onnx_roialign.definition.element_types import ElementType
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.onnx_model.facts import ModelFacts
from onnx_roialign.ops.table import OPS
from onnx_roialign.sessions.options import Source, config_entry, has_own_threads, packed
from onnx_roialign.sessions.own_session import OwnSession
from onnx_roialign.sessions.providers import CPU, record
from onnx_roialign.sessions.rewrite import DOMAIN, TEXTS, attributes_from_texts, rewrite

__all__ = ["Recorded", "recording", "session"]

# Says that the options carry onnxruntime-extensions' library, which cannot be registered twice.
_MARKER_ENTRY = DOMAIN


class Recorded(NamedTuple):
    """One call of a RoiAlign in a session: the node's name, its inputs in the op's order, and what it answered."""

    node: str
    inputs: tuple[Array, ...]
    Y: Array


class _Call:
    """The run that a session is in: one at a time, so that an op's error belongs to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: BaseException | None = None
        self.recorded: list[Recorded] | None = None  # where calls are kept; None: nowhere

    def __call__(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.error = None
            try:
                answer = run(*args, **kwargs)
            except Exception as after:
                if self.error is not None:
                    raise self.error from after
                raise
            if self.error is not None:
                raise self.error
            return answer


class _ReferenceSession(OwnSession):
    """An InferenceSession whose runs raise what its Python ops raised."""

    def __init__(self, call: _Call, *args: Any) -> None:
        self._roi_align_call = call
        call(super().__init__, *args)  # onnxruntime runs nodes with constant inputs here

    def _made_again(self, *args: Any) -> _ReferenceSession:
        return _ReferenceSession(self._roi_align_call, *self._made_from, *args)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self._roi_align_call(super().run, *args, **kwargs)

    def run_with_iobinding(self, *args: Any, **kwargs: Any) -> Any:
        return self._roi_align_call(super().run_with_iobinding, *args, **kwargs)

    def run_with_ort_values(self, *args: Any, **kwargs: Any) -> Any:
        return self._roi_align_call(super().run_with_ort_values, *args, **kwargs)

    def run_async(self, *args: Any, **kwargs: Any) -> Any:
        raise RoiAlignError("engine 'reference'", "unsupported", "must be run with run(), got run_async()")


@contextlib.contextmanager
def recording(session: onnxruntime.InferenceSession) -> Iterator[list[Recorded]]:
    """Keeps every call of a RoiAlign that runs of a session of this engine make meanwhile.

    Features of 16 bits, and what they answer, are float32 there.
    """
    assert isinstance(session, _ReferenceSession)
    calls: list[Recorded] = []
    session._roi_align_call.recorded = calls
    try:
        yield calls
    finally:
        session._roi_align_call.recorded = None


class _Answer(np.ndarray[Any, Any]):
    """An array that onnxruntime-extensions reads as it is: a list costs 32 bytes an element, and most of the time."""

    def flatten(self, order: Any = "C") -> Any:
        return self.reshape(-1)

    def tolist(self) -> Any:
        return self.view(np.ndarray)


def _answer(compute: Callable[..., Array], *arrays: Array, **texts: str) -> _Answer:
    call = _shared().calls[json.loads(texts["session"])]
    try:
        answer = compute(*arrays, attributes_from_texts(texts))
        if call.recorded is not None:  # the arrays' memory is onnxruntime's
            call.recorded.append(Recorded(json.loads(texts["node"]), tuple(map(np.array, arrays)), answer))
    except RoiAlignError as error:
        call.error = error.in_node(json.loads(texts["node"]))
    except BaseException as error:  # past here it would end the process
        call.error = error
    if call.error is not None:
        answer = np.zeros((0, 1, 1, 1), arrays[0].dtype)
    return np.ascontiguousarray(answer).view(_Answer)


class _Shared:
    """What this process has once, even where this module is imported twice: it lives with onnxruntime-extensions."""

    def __init__(self) -> None:
        # How an op finds the run that it belongs to: on any thread, and through C++. Entries go with their sessions.
        self.calls: weakref.WeakValueDictionary[str, _Call] = weakref.WeakValueDictionary()
        self.ops = tuple(
            onnxruntime_extensions.onnx_op(
                op_type=f"{DOMAIN}::{op.name}",
                inputs=[_number(kind, element) for kind in op.inputs.values()],
                outputs=[_number("", element)],
                attrs=dict.fromkeys(TEXTS, onnxruntime_extensions.PyCustomOpDef.dt_string),
            )(functools.partial(_answer, op.compute))
            for op in OPS
            for element in next(iter(op.types.values()))
            if element.bits != 16  # `rewrite` casts those, which no Python op can carry
        )


def _number(kind: str, element: ElementType) -> Any:
    """onnxruntime-extensions' number of an input's type: its one type, or where it has a parameter that of X."""
    fixed = kind.removeprefix("tensor(").removesuffix(")") if kind.startswith("tensor(") else element.onnx_name
    return getattr(onnxruntime_extensions.PyCustomOpDef, f"dt_{fixed}")


def _shared() -> _Shared:
    shared: _Shared | None = getattr(onnxruntime_extensions, "_onnx_roialign", None)
    if shared is None:
        shared = onnxruntime_extensions._onnx_roialign = _Shared()
    return shared


def session(
    model: ModelFacts,
    options: onnxruntime.SessionOptions | None,
    arguments: Mapping[str, Any],
    providers: object,
    provider_options: Any,
) -> OwnSession:
    """Builds a session of a rewritten copy of the model.

    Args:
        model: what was read of it.
        options: gain the Python ops; None: new ones.
        arguments: further ones of `onnxruntime.InferenceSession`.
        providers: as onnxruntime takes them.
        provider_options: as onnxruntime takes them.

    Raises:
        RoiAlignError: a RoiAlign that cannot be answered, or options with which nothing loads.
    """
    name = uuid.uuid4().hex
    call = _shared().calls[name] = _Call()
    source = packed(rewrite(model, name), model, whole=True)

    def prepare(used: onnxruntime.SessionOptions, _: object) -> Source:
        record(used)
        if config_entry(used, _MARKER_ENTRY) is None:
            used.register_custom_ops_library(onnxruntime_extensions.get_library_path())
            used.add_session_config_entry(_MARKER_ENTRY, "1")
        return source

    try:
        return _ReferenceSession(call, prepare, options, arguments, providers, provider_options)
    except RoiAlignError:
        raise
    except Exception as error:
        if options is not None and (reason := _why_nothing_loads(options)):
            # One cause that the reason does not explain: the library is there already.
            registers = "; engine 'reference' registers onnxruntime-extensions' library itself: pass options without it"
            hint = registers if has_own_threads(options) else ""
            raise RoiAlignError(
                "sess_options", "failed", f"must load a model, got options that load none ({reason}){hint}"
            ) from error
        raise


def _why_nothing_loads(options: onnxruntime.SessionOptions) -> str:
    """What onnxruntime says of these options with the smallest model; empty where it loads."""
    value = onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["X"], ["Y"])], "usable", [value], [value])
    graph.output[0].name = "Y"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 10)], ir_version=8)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, [CPU])
    except Exception as error:  # whatever onnxruntime raises, it does not load
        return one_line(error)
    return ""

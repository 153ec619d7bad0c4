"""Engine "reference" inside a session: the NumPy implementation as a Python op of onnxruntime-extensions.

Two limits of onnxruntime-extensions (0.15.2) shape this module:

- An exception in a Python op ends the process. The op therefore stores it and returns an empty array, and `run()`
  raises it.
- The ops of one domain lie in one vector, to whose elements sessions point; declaring one more op moves them all. The
  ops here therefore have their own domain and are declared together, once.
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
import onnxruntime
import onnxruntime_extensions

from onnx_roialign.arrays import Array
from onnx_roialign.definition.element_types import ElementType
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.facts import ModelFacts
from onnx_roialign.ops.table import OPS
from onnx_roialign.sessions.options import Source, config_entry, packed
from onnx_roialign.sessions.own_session import OwnSession
from onnx_roialign.sessions.providers import record
from onnx_roialign.sessions.rewrite import DOMAIN, TEXTS, attributes_from_texts, rewrite

__all__ = ["Recorded", "recording", "session"]

# Marks options that onnxruntime-extensions' library, which cannot be registered twice, is registered on.
_MARKER_ENTRY = DOMAIN


class Recorded(NamedTuple):
    """One call of a RoiAlign in a session: the node's name, its inputs in the op's order, and its output."""

    node: str
    inputs: tuple[Array, ...]
    Y: Array


class _Call:
    """Runs a session, one run at a time, and raises the error that an op stored during the run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: BaseException | None = None
        self.recorded: list[Recorded] | None = None  # receives the calls; None: they are not recorded

    def __call__(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            self.error = None
            try:
                outputs = run(*args, **kwargs)
            except Exception as later:
                if self.error is not None:
                    raise self.error from later
                raise
            if self.error is not None:
                raise self.error
            return outputs


class _ReferenceSession(OwnSession):
    """An InferenceSession whose runs raise the exceptions of its Python ops."""

    def __init__(self, call: _Call, *args: Any) -> None:
        self._roi_align_call = call
        call(super().__init__, *args)  # onnxruntime runs nodes with constant inputs during creation
        self.remake = functools.partial(_ReferenceSession, call, *args[:-2])

    def _way_out(self) -> str:
        return "engine 'reference' registers onnxruntime-extensions' library itself: pass options without it"

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
    """Records the calls of RoiAlign that runs of a session of this engine make inside the context.

    16-bit features and the outputs for them are float32 in the records.
    """
    assert isinstance(session, _ReferenceSession)
    calls: list[Recorded] = []
    session._roi_align_call.recorded = calls
    try:
        yield calls
    finally:
        session._roi_align_call.recorded = None


class _Output(np.ndarray[Any, Any]):
    """An array that onnxruntime-extensions reads without a list, which takes 32 bytes per element and most time."""

    def flatten(self, order: Any = "C") -> Any:
        return self.reshape(-1)

    def tolist(self) -> Any:
        return self.view(np.ndarray)


def _output(compute: Callable[..., Array], *arrays: Array, **texts: str) -> _Output:
    call = _shared().calls[json.loads(texts["session"])]
    try:
        output = compute(*arrays, attributes_from_texts(texts))
        if call.recorded is not None:  # copied, because onnxruntime owns the memory of the arrays
            call.recorded.append(Recorded(json.loads(texts["node"]), tuple(map(np.array, arrays)), output))
    except RoiAlignError as error:
        call.error = error.in_node(json.loads(texts["node"]))
    except BaseException as error:  # an exception that left this function would end the process
        call.error = error
    if call.error is not None:
        output = np.zeros((0, 1, 1, 1), arrays[0].dtype)
    return np.ascontiguousarray(output).view(_Output)


class _Shared:
    """State that exists once per process, even if this module is imported twice: onnxruntime-extensions holds it."""

    def __init__(self) -> None:
        # An op finds its run by the text "session", on any thread. Entries disappear with their sessions.
        self.calls: weakref.WeakValueDictionary[str, _Call] = weakref.WeakValueDictionary()
        self.ops = tuple(
            onnxruntime_extensions.onnx_op(
                op_type=f"{DOMAIN}::{op.name}",
                inputs=[_number(kind, element) for kind in op.inputs.values()],
                outputs=[_number("", element)],
                attrs=dict.fromkeys(TEXTS, onnxruntime_extensions.PyCustomOpDef.dt_string),
            )(functools.partial(_output, op.compute))
            for op in OPS
            for element in next(iter(op.types.values()))
            if element.bits != 16  # a Python op cannot have 16-bit inputs; `rewrite` casts them
        )


def _number(kind: str, element: ElementType) -> Any:
    """onnxruntime-extensions' number for the type of an input: its fixed type, or X's type for a type parameter."""
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
    """Creates a session of a rewritten copy of the model.

    Args:
        model: the facts that were read from it.
        options: the Python ops are registered on them; None: new options.
        arguments: further arguments of `onnxruntime.InferenceSession`.
        providers: as for onnxruntime.
        provider_options: as for onnxruntime.

    Raises:
        RoiAlignError: a RoiAlign cannot run as a Python op, or no model loads with the options.
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

    return _ReferenceSession(call, prepare, options, arguments, providers, provider_options)

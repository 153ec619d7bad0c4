"""Creates ONNX Runtime sessions in which every RoiAlign of a model runs on the chosen engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import onnxruntime

from onnx_roialign.definition.attributes import MAX_THREADS
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.engines.by_name import SESSION_ENGINES, check_engine
from onnx_roialign.engines.native import library_path
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.onnx_model.facts import ModelFacts, OpsetConflictError, read_facts
from onnx_roialign.onnx_model.file import Model, format_of, parse, to_bytes
from onnx_roialign.onnx_model.node_rules import check_nodes
from onnx_roialign.onnx_model.scopes import default_opset
from onnx_roialign.sessions.installed import opset_explained
from onnx_roialign.sessions.options import (
    Source,
    check_omitted_inputs,
    check_options,
    check_version,
    config_entry,
    has_own_threads,
    packed,
    usable_cores,
    without_omitted_inputs,
)
from onnx_roialign.sessions.own_session import OwnSession, RemadeSession
from onnx_roialign.sessions.providers import CPU, Providers, has_providers, may_run_more_than_cpu, record
from onnx_roialign.sessions.rewrite import with_private_ops

__all__ = ["register", "session"]

# The keys that kernels/ort/register.cpp reads, for the model's opset and the session's number of threads, and the key
# that it sets.
_OPSET_ENTRY = "onnx_roialign.opset"
_THREADS_ENTRY = "onnx_roialign.threads"
_LIBRARY_ENTRY = "onnx_roialign.registration"


def register(sess_options: onnxruntime.SessionOptions, model: Model) -> None:
    """Prepares session options so that every RoiAlign of this model runs on the compiled library.

    Registers the library and sets the model's opset as a config entry: a kernel cannot see the opset, and the meaning
    of a RoiAlign without coordinate_transformation_mode depends on it. **Use the options only for sessions of this
    model**, or of models with the attribute in every node. The options can be registered again for a model whose opset
    has the same default.

    Set intra_op_num_threads before this call: the library divides its work by the number of threads set now.

    This function cannot see the providers of the session. A provider that takes RoiAlign (OpenVINO's takes the whole
    graph) has precedence over the library, without a warning. Use `session()` with providers other than the CPU's.

    Args:
        sess_options: options for an `onnxruntime.InferenceSession`; no other thread may use them during the call.
        model: path, bytes or ModelProto of the session's model. External data is not read.

    Raises:
        RoiAlignError: the model cannot be read or has an invalid RoiAlign; nodes without the attribute are at opsets
            with different defaults; or the options were registered for another default or have providers.
        NativeLibraryError: the compiled library is missing, or onnxruntime is too old for it.
    """
    check_version()
    library_path()
    check_options(sess_options)
    if has_providers(sess_options):
        raise RoiAlignError(
            "sess_options",
            "conflict",
            "must have no providers of their own, which may take RoiAlign before the library, got options "
            "that providers were added to; use onnx_roialign.session()",
        )
    facts = read_facts(model)
    check_nodes(facts)
    check_omitted_inputs(facts)
    _register(sess_options, facts)


def session(
    model: Model,
    sess_options: onnxruntime.SessionOptions | None = None,
    *,
    engine: str = "native",
    providers: Providers | None = (CPU,),
    provider_options: Sequence[Mapping[Any, Any]] | None = None,
    **kwargs: Any,
) -> onnxruntime.InferenceSession:
    """`onnx_roialign.session` without `optimize`; see there for arguments, result and errors."""
    check_engine(engine, SESSION_ENGINES)
    if sess_options is not None:
        check_options(sess_options)
    arguments = (sess_options, kwargs, providers, provider_options)
    if engine == "builtin":
        return RemadeSession(_Builtin(model), *arguments)
    check_version()
    created: OwnSession
    if engine == "reference":
        with imported_for("engine 'reference'"):
            from onnx_roialign.sessions import python_op
    with opset_explained(lambda: default_opset(parse(model).opset_import)):
        if engine == "reference":
            facts = read_facts(model)
            check_nodes(facts)
            created = python_op.session(facts, *arguments)
        else:
            created = OwnSession(_Native(model), *arguments)
    created.warn_of_neighbours(stacklevel=3)
    return created


def _kept(model: Model) -> str | os.PathLike[str] | bytes:
    """Returns the model in a form that the caller cannot change, from which the session can be created again."""
    return to_bytes(model) if isinstance(model, onnx.ModelProto) else model


def _source(model: str | os.PathLike[str] | bytes, read: Callable[[], ModelFacts]) -> Source:
    """The unchanged model for onnxruntime, which cannot read ONNX's text formats."""
    if isinstance(model, bytes):
        return Source(model)
    path = os.fspath(model)
    if format_of(path) == "protobuf":
        return Source(path)
    facts = read()
    return packed(facts.proto, facts)


class _Builtin:
    """Prepares options and model for engine "builtin"."""

    def __init__(self, model: Model) -> None:
        kept = _kept(model)
        self._source = _source(kept, lambda: read_facts(kept))

    def __call__(self, options: onnxruntime.SessionOptions, _: object) -> Source:
        if config_entry(options, _LIBRARY_ENTRY) is not None:
            raise RoiAlignError(
                "sess_options",
                "conflict",
                "must not carry onnx_roialign's library with engine 'builtin', "
                "got options that it was registered on; pass new ones",
            )
        return self._source


class _Native:
    """Prepares options and model for engine "native"; the model is unchanged unless a RoiAlign needs a private op."""

    def __init__(self, model: Model) -> None:
        self._first = model  # read in the first call; the caller may change it afterwards
        self._kept = _kept(model)

    def __call__(self, options: onnxruntime.SessionOptions, providers: list[Any] | None) -> Source:
        given, self._first = read_facts(self._first), self._kept
        check_nodes(given)
        facts = without_omitted_inputs(given)
        record(options)
        if facts is given and not (facts.roi_aligns and may_run_more_than_cpu(providers, options)):
            try:
                _register(options, facts)
                return _source(self._kept, lambda: facts)
            except OpsetConflictError:  # between nodes, or with a model for which the options were used before
                pass
        copy = with_private_ops(facts)
        _register(options, read_facts(copy))
        return packed(copy, facts)


def _register(options: onnxruntime.SessionOptions, model: ModelFacts) -> None:
    path = library_path()
    opset = model.session_opset()
    registered = config_entry(options, _OPSET_ENTRY)
    if opset is not None and registered is None:
        options.add_session_config_entry(_OPSET_ENTRY, str(opset))
    elif (
        opset is not None
        and registered is not None
        and registered.isdecimal()
        and (int(registered) < HALF_PIXEL_OPSET) != (opset < HALF_PIXEL_OPSET)
    ):
        raise OpsetConflictError(
            "sess_options",
            "conflict",
            "must be used for models whose opsets have the same default of coordinate_transformation_mode, "
            f"got options registered for opset {registered} and a model of opset {opset}; "
            "pass new ones",
        )
    if has_own_threads(options) and config_entry(options, _THREADS_ENTRY) is None:
        threads = options.intra_op_num_threads or usable_cores()
        options.add_session_config_entry(_THREADS_ENTRY, str(min(threads, MAX_THREADS)))
    options.register_custom_ops_library(path)

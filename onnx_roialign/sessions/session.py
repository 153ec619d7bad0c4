"""Creates ONNX Runtime sessions in which every RoiAlign of a model runs on the chosen engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import onnxruntime

from onnx_roialign.engines.by_name import SESSION_ENGINES, check_engine
from onnx_roialign.engines.installation import library_path
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.extras import imported_for
from onnx_roialign.onnx_model.facts import read_facts
from onnx_roialign.onnx_model.file import Model, parse
from onnx_roialign.onnx_model.node_rules import check_nodes
from onnx_roialign.onnx_model.scopes import default_opset
from onnx_roialign.sessions import by_custom_op, by_provider, own_provider
from onnx_roialign.sessions.given import GivenModel
from onnx_roialign.sessions.installed import opset_explained
from onnx_roialign.sessions.options import (
    Source,
    carries_library,
    check_omitted_inputs,
    check_options,
    check_version,
    has_providers,
    tell_threads,
)
from onnx_roialign.sessions.own_session import OwnSession, RemadeSession
from onnx_roialign.sessions.providers import CPU, Providers, checked_providers, may_run_more_than_cpu

__all__ = ["DOORS", "Door", "check_door", "register", "session"]

# How the compiled library comes into a session.
Door = Literal["auto", "provider", "custom_op"]
DOORS: tuple[Door, ...] = get_args(Door)


def register(sess_options: onnxruntime.SessionOptions, model: Model, *, door: Door = "auto") -> None:
    """Prepares session options so that every RoiAlign of this model runs on the compiled library.

    The custom op needs the model's opset as a config entry, because its kernel cannot see the opset and the meaning of
    a RoiAlign without coordinate_transformation_mode depends on it. **Use the options only for sessions of this
    model**, or of models with the attribute in every node. The options can be registered again for a model whose opset
    has the same default.

    Set intra_op_num_threads before this call: the library divides its work by the number of threads set now.

    This function cannot see the session. With the custom op, a provider that takes RoiAlign (OpenVINO's takes the whole
    graph) has precedence over the library, without a warning. With the execution provider, an `InferenceSession` that
    is given ``providers`` ignores those of its options, with a warning of onnxruntime's. Use `session()` with providers
    other than the CPU's: it checks who runs RoiAlign.

    Args:
        sess_options: options for an `onnxruntime.InferenceSession`; no other thread may use them during the call.
        model: path, bytes or ModelProto of the session's model. External data is not read.
        door: "custom_op"; "provider", the execution provider, which needs onnxruntime 1.24.1; or "auto", which is the
            custom op here, unlike in `session()`: it stays on the options, while ``InferenceSession(model, options,
            providers=[...])`` drops the execution provider from them, and onnxruntime's own kernel would run RoiAlign.

    Raises:
        RoiAlignError: the model cannot be read or has an invalid RoiAlign; nodes without the attribute are at opsets
            with different defaults; the options were registered for another default or have providers; or the model
            would not mean the same with the execution provider.
        NativeLibraryError: the compiled library is missing, or onnxruntime is too old for it.
    """
    check_door(door)
    check_version()
    library_path()
    check_options(sess_options)
    if door == "provider":
        own_provider.check_supported()
        by_provider.check_options(sess_options)
    elif has_providers(sess_options):
        raise RoiAlignError(
            "sess_options",
            "conflict",
            "must have no providers of their own, which may take RoiAlign before the library, got options "
            "that providers were added to; use onnx_roialign.session()",
        )
    facts = read_facts(model)
    check_nodes(facts)
    check_omitted_inputs(facts)
    if door == "provider":
        by_provider.check_meaning(facts)
        by_provider.check_types(facts)
        tell_threads(sess_options)
        own_provider.add_to(sess_options, *own_provider.with_own([CPU], None))
    else:
        by_custom_op.register(sess_options, facts)


def session(
    model: Model,
    sess_options: onnxruntime.SessionOptions | None = None,
    *,
    engine: str = "native",
    door: Door = "auto",
    providers: Providers | None = (CPU,),
    provider_options: Sequence[Mapping[Any, Any]] | None = None,
    **kwargs: Any,
) -> onnxruntime.InferenceSession:
    """`onnx_roialign.session` without `optimize`; see there for arguments, result and errors."""
    check_engine(engine, SESSION_ENGINES)
    check_door(door)
    if engine != "native" and door != "auto":
        raise RoiAlignError("door", "conflict", f"must be 'auto' with engine {engine!r}, got {door!r}")
    if sess_options is not None:
        check_options(sess_options)
    if engine == "builtin":
        return RemadeSession(_ForBuiltin(model), sess_options, kwargs, providers, provider_options)
    check_version()
    created: OwnSession
    if engine == "reference":
        with imported_for("engine 'reference'"):
            from onnx_roialign.sessions import python_op
    with opset_explained(lambda: default_opset(parse(model).opset_import)):
        if engine == "reference":
            facts = read_facts(model)
            check_nodes(facts)
            created = python_op.session(facts, sess_options, kwargs, providers, provider_options)
        else:
            created = _NativeSessions(model, door, sess_options, kwargs)(providers, provider_options)
    created.warn_of_neighbours(stacklevel=3)
    return created


def check_door(door: object) -> None:
    """Checks the name of a door.

    Raises:
        RoiAlignError: there is no such door; the message lists them.
    """
    if not isinstance(door, str) or door not in DOORS:
        raise RoiAlignError("door", "choice", f"must be one of {', '.join(DOORS)}, got {shown(door)}")


class _NativeSessions:
    """Creates sessions of the compiled library; with door "auto" each by the door that suits its providers."""

    def __init__(
        self, model: Model, door: Door, options: onnxruntime.SessionOptions | None, arguments: Mapping[str, Any]
    ) -> None:
        self._given = given = GivenModel(model)
        self._by_provider, self._by_custom_op = by_provider.ForProvider(given), by_custom_op.ForCustomOp(given)
        self._door, self._options, self._arguments = door, options, arguments

    def __call__(self, providers: Any, provider_options: Any) -> OwnSession:
        try:
            made = self._session(providers, provider_options)
        finally:
            self._given.forget()
        made.remake = self
        return made

    def _session(self, providers: Any, provider_options: Any) -> OwnSession:
        given = (self._options, self._arguments)
        checked = checked_providers(providers)
        if self._door == "provider" or (self._door == "auto" and self._wants_provider(checked)):
            return by_provider.ProviderSession(self._by_provider, *given, providers, provider_options)
        if self._door == "auto" and self._suits_provider(checked):
            others = own_provider.without_own(checked, provider_options)
            # Where the model would not mean the same there, or onnxruntime's own rules for RoiAlign refuse it there,
            # the custom op runs it. What is wrong at either door, that one says too.
            with contextlib.suppress(Exception):
                return by_provider.ProviderSession(self._by_provider, *given, *others)
        return OwnSession(self._by_custom_op, *given, providers, provider_options)

    def _wants_provider(self, providers: list[Any] | None) -> bool:
        own_options = self._options is not None and own_provider.is_in(self._options) and providers is None
        return own_options or own_provider.is_wanted(providers)

    def _suits_provider(self, providers: list[Any] | None) -> bool:
        """Whether no session loses anything by the execution provider.

        Beside another provider the custom op is better: with a name that no provider knows it leaves them all other
        nodes, while one that takes whole graphs (OpenVINO's) takes nothing of a graph with a node of ours. Options to
        which providers are added, as older versions need it, would be of use for nothing else.
        """
        options = self._options or onnxruntime.SessionOptions()
        only_cpu = not may_run_more_than_cpu(providers, options)
        return only_cpu and (self._options is None or own_provider.takes_names())


class _ForBuiltin:
    """Prepares sessions of onnxruntime's own kernel."""

    def __init__(self, model: Model) -> None:
        self._source = GivenModel(model).source()

    def __call__(self, options: onnxruntime.SessionOptions, _: object) -> Source:
        if carries_library(options) or own_provider.is_in(options):
            raise RoiAlignError(
                "sess_options",
                "conflict",
                "must not carry onnx_roialign's library with engine 'builtin', "
                "got options that it was registered on; pass new ones",
            )
        return self._source

"""Sessions in which this package's execution provider runs every RoiAlign of a model that stays as it is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import onnxruntime

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.engines.native import ep_name
from onnx_roialign.errors import RoiAlignError, one_line, shown
from onnx_roialign.onnx_model.constants import constant_roi_aligns
from onnx_roialign.onnx_model.facts import ModelFacts
from onnx_roialign.onnx_model.operators import schema_of, tensor_of, type_name
from onnx_roialign.onnx_model.scopes import infer, scopes
from onnx_roialign.onnx_model.tensor_data import without_weights
from onnx_roialign.ops.nodes import MODE, is_explicit, is_ours, is_roi_align
from onnx_roialign.ops.table import op_of
from onnx_roialign.sessions import own_provider
from onnx_roialign.sessions.by_custom_op import register_private_ops
from onnx_roialign.sessions.given import GivenModel
from onnx_roialign.sessions.options import Source, carries_library, has_providers, tell_threads
from onnx_roialign.sessions.own_session import OwnSession
from onnx_roialign.sessions.providers import CPU, Assignment, name_of, record

__all__ = ["ForProvider", "ProviderSession", "check_meaning", "check_options", "check_types", "fused"]

# Whose bodies a provider takes unseen with the node.
_WITH_BODIES = ("If", "Loop", "Scan")

# What the RoiAlign of a provider is known to compute otherwise than ONNX says.
_DIFFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "OpenVINOExecutionProvider": "; it takes the maximum over interpolated samples and starts it from 0, and it "
        "returns NaN for a bin without samples (preset openvino_half_pixel_for_nn)",
    }
)


def check_options(options: onnxruntime.SessionOptions) -> None:
    """Refuses options on which the custom op was registered, which would run RoiAlign, and perhaps at another opset.

    Raises:
        RoiAlignError: the text says what else can be done.
    """
    if carries_library(options):
        raise RoiAlignError(
            "sess_options",
            "conflict",
            "must not carry onnx_roialign's custom op with door 'provider', got options that it was registered on; "
            "pass new ones",
        )


def check_meaning(model: ModelFacts) -> None:
    """Refuses a model that onnxruntime would not hand to a provider with the meaning that it has.

    Raises:
        RoiAlignError: the text names the node and says what else can be done.
    """
    for scope, node in model.roi_aligns:
        if not is_roi_align(node):
            continue
        if scope.opset != model.opset:  # onnxruntime writes functions out at the opset of the model
            raise RoiAlignError(
                "RoiAlign",
                "unsupported",
                f"must be of the model's opset {model.opset} with door 'provider', got a function of opset "
                f"{scope.opset}; use door='custom_op'",
                node=node.name,
            )
        if is_explicit(node) and model.opset is not None and model.opset < HALF_PIXEL_OPSET:
            raise RoiAlignError(
                MODE,
                "unsupported",
                f"must be left out below opset {HALF_PIXEL_OPSET} with door 'provider', got it at opset "
                f"{model.opset}; use door='custom_op'",
                node=node.name,
            )
    for node in constant_roi_aligns(model):
        raise RoiAlignError(
            "RoiAlign",
            "unsupported",
            "must have an input that runs may change with door 'provider', got constants, for which onnxruntime's own "
            "kernel computes it when the model is loaded; use door='custom_op'",
            node=node.name,
        )


def check_types(model: ModelFacts) -> None:
    """Refuses a model in which X has a type that ONNX's operator takes only at later opsets, as onnxruntime does.

    Raises:
        RoiAlignError: the text names the node and says what else can be done.
    """
    for scope in scopes(infer(without_weights(model.proto))):
        for node in filter(is_roi_align, scope.nodes):
            kind, schema = scope.types.get(node.input[0], 0), schema_of(node.op_type, scope.opset or 0)
            if kind and schema is not None and tensor_of(kind) not in schema.inputs[0].types:
                raise RoiAlignError(
                    "X",
                    "unsupported",
                    f"must be of a type that RoiAlign has at opset {scope.opset} with door 'provider', got "
                    f"{type_name(kind)}; use door='custom_op'",
                    node=node.name,
                )


class ForProvider:
    """Prepares sessions of the execution provider, which get the model as it is."""

    def __init__(self, model: GivenModel) -> None:
        self._model = model
        # Known once a session is prepared: whether a RoiAlign is in the body of a node, and whether one is private.
        self.in_bodies = self.has_private = False

    def __call__(self, options: onnxruntime.SessionOptions, _: object) -> Source:
        """Checks the options and the model, and returns the model as it is."""
        check_options(options)
        facts = self._model.facts()
        check_meaning(facts)
        self.in_bodies = facts.in_functions or any(scope.outer and scope.outer.nodes for scope, _ in facts.roi_aligns)
        self.has_private = any(op_of(node) for _, node in facts.roi_aligns)
        record(options)
        tell_threads(options)
        return self._model.source(facts)

    def check_types(self) -> None:
        """As the function of that name, on the model."""
        check_types(self._model.facts())


class ProviderSession(OwnSession):
    """A session in which the execution provider runs every RoiAlign that no provider named before it takes.

    Args:
        prepare: called for each set of providers.
        options: the user's; None: the session has new ones each time.
        arguments: further ones of InferenceSession.
        providers: as InferenceSession takes them; the execution provider is put first where they do not name it.
        provider_options: as InferenceSession takes them.

    Raises:
        RoiAlignError: the model does not mean the same there, or a provider after it runs a RoiAlign.
        NativeLibraryError: onnxruntime is too old for it, or cannot load the library.
    """

    def __init__(
        self,
        prepare: ForProvider,
        options: onnxruntime.SessionOptions | None,
        arguments: Mapping[str, Any],
        providers: object,
        provider_options: Any,
    ) -> None:
        self._prepare = prepare
        self._names: list[str] = []  # the providers of the session, in their order, where its options do not have them
        self._taken: dict[str, list[str]] = {}  # the RoiAligns that they run, by provider
        own_provider.check_supported()
        super().__init__(prepare, options, arguments, providers, provider_options)

    def _handed_over(
        self, options: onnxruntime.SessionOptions, providers: list[Any] | None, provider_options: Any
    ) -> tuple[list[Any] | None, Any]:
        if providers is None and own_provider.is_in(options):
            return None, None  # the options have the order
        providers, provider_options = own_provider.with_own(providers, provider_options)
        self._names = [name_of(provider) for provider in providers]
        if own_provider.takes_names() and not has_providers(options):
            own_provider.devices()
            if self._prepare.has_private:  # which the provider brings only where options have it
                register_private_ops(options)
            return providers, provider_options
        own_provider.add_to(options, providers, provider_options)
        return None, None

    def _blame_providers(self, error: Exception, *arguments: Any) -> None:
        """Raises an error that says so where ONNX's rules for RoiAlign, or other providers, are the cause of one."""
        try:
            self._prepare.check_types()
        except RoiAlignError as reason:
            raise reason from error
        if {*self._names} - {CPU, ep_name()}:
            super()._blame_providers(error, *arguments)

    def _way_out(self) -> str:
        return "pass new ones"

    @classmethod
    def _loads(cls, prepare: Any, options: onnxruntime.SessionOptions | None, arguments: Mapping[str, Any]) -> bool:
        try:
            # Nobody can take the other providers away from options that they were added to.
            cls(prepare, options if own_provider.takes_names() else None, arguments, [CPU], None)
        except Exception:  # the other providers are not the cause
            return False
        return True

    def _check_assignment(self, found: Assignment) -> None:
        before = self._names[: self._names.index(ep_name())] if self._names else []
        for name, nodes in found.items():
            for node in nodes:
                if name == ep_name() or (name == CPU and op_of(node)) or not self._is_ours(name, node):
                    continue
                if name not in before:
                    raise self._taken_by(name, node.name)
                self._taken.setdefault(name, []).append(node.name)
        others = {*found} - {CPU, ep_name()}
        self._neighbours = sorted(others) if ep_name() in found else []

    def _is_ours(self, provider: str, node: Any) -> bool:
        return is_ours(node) or (provider != CPU and self._prepare.in_bodies and node.op_type in _WITH_BODIES)

    def warn_of_neighbours(self, stacklevel: int) -> None:
        """Warns as an OwnSession, and where a provider named before this package's runs a RoiAlign."""
        for name, nodes in self._taken.items():
            warnings.warn(
                f"{name} is named before {ep_name()} and runs RoiAlign itself (node {nodes[0]!r}"
                f"{f' and {len(nodes) - 1} more' if len(nodes) > 1 else ''}){_DIFFERENCES.get(name, '')}; name "
                f"{ep_name()} before it",
                stacklevel=stacklevel,
            )
        super().warn_of_neighbours(stacklevel + 1)


def fused(session: onnxruntime.InferenceSession) -> list[tuple[str, ...]]:
    """Returns which poolers and which mask pasting the execution provider runs as one operator each.

    Args:
        session: one that `session()` returned.

    Returns:
        For each of them, the names of its RoiAligns, or of the Loop that pastes masks; empty for a session without the
        provider.

    Raises:
        RoiAlignError: it is no session of onnxruntime, or one that does not record who runs each node.
    """
    if not isinstance(session, onnxruntime.InferenceSession):
        raise RoiAlignError("session", "type", f"must be an onnxruntime.InferenceSession, got {shown(session)}")
    if ep_name() not in session.get_providers():
        return []
    try:
        assigned = session.get_provider_graph_assignment_info()
    except Exception as error:  # onnxruntime's have no common base
        raise RoiAlignError(
            "session",
            "unsupported",
            "must be one that onnx_roialign.session() returned, got one that does not record who runs each node "
            f"({one_line(error)})",
        ) from error
    parts = [part.get_nodes() for part in assigned if part.ep_name == ep_name()]
    return [
        tuple(node.name for node in nodes if is_roi_align(node) or node.op_type == "Loop")
        for nodes in parts
        if len(nodes) > 1
    ]

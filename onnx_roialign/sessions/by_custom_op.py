"""Sessions in which the library's custom op runs every RoiAlign: of the model, or of a copy with private operators."""

from __future__ import annotations

from typing import Any

import onnxruntime

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.engines.installation import library_path
from onnx_roialign.onnx_model.facts import ModelFacts, OpsetConflictError, read_facts
from onnx_roialign.sessions.given import GivenModel
from onnx_roialign.sessions.options import Source, config_entry, packed, tell_threads, without_omitted_inputs
from onnx_roialign.sessions.providers import may_run_more_than_cpu, record
from onnx_roialign.sessions.rewrite import with_private_ops

__all__ = ["ForCustomOp", "register", "register_private_ops"]

# The keys of kernels/ort/settings.cpp: the model's opset, and which ops are registered.
_OPSET_ENTRY = "onnx_roialign.opset"
_OPS_ENTRY = "onnx_roialign.ops"


class ForCustomOp:
    """Prepares sessions of the custom op: of the model as it is, wherever it means there what it should."""

    def __init__(self, model: GivenModel) -> None:
        self._model = model

    def __call__(self, options: onnxruntime.SessionOptions, providers: list[Any] | None) -> Source:
        """Registers the library on the options and returns the model for onnxruntime."""
        first = self._model.facts()
        facts = without_omitted_inputs(first)
        record(options)
        if facts is first and not (facts.roi_aligns and may_run_more_than_cpu(providers, options)):
            try:
                register(options, facts)
                return self._model.source(facts)
            except OpsetConflictError:  # of nodes among each other, or with the model that the options were used for
                pass
        copy = with_private_ops(facts)
        register(options, read_facts(copy))
        return packed(copy, facts)


def register(options: onnxruntime.SessionOptions, model: ModelFacts) -> None:
    """Registers the library on options, for a model that stays as it is.

    Raises:
        OpsetConflictError: the opsets of nodes, or of the models that the options are for, have different defaults.
        NativeLibraryError: the library is missing.
    """
    path = library_path()
    opset = model.session_opset()
    told = config_entry(options, _OPSET_ENTRY)
    if opset is not None and told is None:
        options.add_session_config_entry(_OPSET_ENTRY, str(opset))
    elif (
        opset is not None
        and told is not None
        and told.isdecimal()
        and (int(told) < HALF_PIXEL_OPSET) != (opset < HALF_PIXEL_OPSET)
    ):
        raise OpsetConflictError(
            "sess_options",
            "conflict",
            "must be used for models whose opsets have the same default of coordinate_transformation_mode, "
            f"got options registered for opset {told} and a model of opset {opset}; "
            "pass new ones",
        )
    tell_threads(options)
    if config_entry(options, _OPS_ENTRY) is not None:
        options.add_session_config_entry(_OPS_ENTRY, "all")
    options.register_custom_ops_library(path)


def register_private_ops(options: onnxruntime.SessionOptions) -> None:
    """Registers the private operators alone, for a session in which the execution provider runs ONNX's RoiAlign."""
    if config_entry(options, _OPS_ENTRY) is None:
        options.add_session_config_entry(_OPS_ENTRY, "private")
        options.register_custom_ops_library(library_path())

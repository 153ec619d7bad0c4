"""The model that a session is made of: read and checked each time, and handed to onnxruntime as it is."""

from __future__ import annotations

import os

import onnx

from onnx_roialign.onnx_model.facts import ModelFacts, read_facts
from onnx_roialign.onnx_model.file import Model, format_of, to_bytes
from onnx_roialign.onnx_model.node_rules import check_nodes
from onnx_roialign.sessions.options import Source, packed

__all__ = ["GivenModel"]


class GivenModel:
    """A model that is read once for each session that is made of it; its file may have changed by the next."""

    def __init__(self, model: Model) -> None:
        self._given = model
        self._kept = to_bytes(model) if isinstance(model, onnx.ModelProto) else model  # which the caller cannot change
        self._facts: ModelFacts | None = None

    def facts(self) -> ModelFacts:
        """Returns what was read and checked, until `forget`; errors as in `check_nodes`."""
        facts = self._facts
        if facts is None:
            facts, self._given = read_facts(self._given), self._kept
            check_nodes(facts)
            self._facts = facts
        return facts

    def forget(self) -> None:
        """Frees what was read: a session needs no copy of its model."""
        self._facts = None

    def source(self, facts: ModelFacts | None = None) -> Source:
        """Returns the model as it is; onnxruntime reads no text formats.

        Args:
            facts: what was read of the model; None: it is read where it must be.
        """
        if isinstance(self._kept, bytes):
            return Source(self._kept)
        path = os.fspath(self._kept)
        if format_of(path) == "protobuf":
            return Source(path)
        facts = facts or read_facts(path)
        return packed(facts.proto, facts)

"""onnxruntime's execution providers: those that a caller requests, and the nodes that each of them runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.sessions.options import config_entry

__all__ = [
    "CPU",
    "Assignment",
    "Providers",
    "assignment",
    "checked_providers",
    "has_providers",
    "may_run_more_than_cpu",
    "record",
]

CPU = "CPUExecutionProvider"

# As `onnxruntime.InferenceSession` takes them.
Providers = Sequence[str | tuple[str, Mapping[Any, Any]]]

# The nodes that each provider runs, by its name; a node has a domain, an op_type and a name.
Assignment = Mapping[str, Sequence[Any]]

# Makes onnxruntime 1.24 and newer note which provider runs each node.
_RECORD_ENTRY = "session.record_ep_graph_assignment_info"


def checked_providers(providers: object) -> list[Any] | None:
    """The providers as a list; None, for onnxruntime's default, stays None.

    Raises:
        RoiAlignError: not a sequence of names and (name, options) pairs.
    """
    if providers is None:
        return None
    if isinstance(providers, str):
        name = shown(providers)
        raise RoiAlignError("providers", "type", f"must be a list of names, got {name}; pass [{name}]")
    if not isinstance(providers, Sequence):
        raise RoiAlignError("providers", "type", f"must be a list of names, got {type(providers).__name__}")
    for provider in providers:
        pair = isinstance(provider, tuple) and len(provider) == 2
        name, options = provider if pair else (provider, {})
        if not (isinstance(name, str) and isinstance(options, Mapping)):
            raise RoiAlignError("providers", "type", f"must be names or (name, options) pairs, got {shown(provider)}")
    return list(providers)


def may_run_more_than_cpu(providers: list[Any] | None, options: onnxruntime.SessionOptions) -> bool:
    """Whether a session of these may have a provider beside the CPU's; which it has, only the session knows."""
    if providers:
        return any((provider if isinstance(provider, str) else provider[0]) != CPU for provider in providers)
    return has_providers(options) or onnxruntime.get_available_providers() != [CPU]


def has_providers(options: onnxruntime.SessionOptions) -> bool:
    """Whether providers were added to the options themselves, which onnxruntime 1.22 made possible."""
    ask = getattr(options, "has_providers", None)
    return ask is not None and bool(ask())


def record(options: onnxruntime.SessionOptions) -> None:
    """Lets sessions of these options say which provider runs what."""
    if config_entry(options, _RECORD_ENTRY) != "1":
        options.add_session_config_entry(_RECORD_ENTRY, "1")


def assignment(session: onnxruntime.InferenceSession) -> Assignment | None:
    """What each provider of a session runs, its options having gone through `record`; None before onnxruntime 1.24."""
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:
        return None
    found: dict[str, list[Any]] = {}
    for part in ask():
        found.setdefault(part.ep_name, []).extend(part.get_nodes())
    return found

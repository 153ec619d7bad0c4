"""onnxruntime's execution providers: those that a caller requests, and the nodes that each of them runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from onnx_roialign.engines.native import ep_name
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.sessions.options import config_entry, has_providers

__all__ = [
    "CPU",
    "Assignment",
    "Providers",
    "assignment",
    "checked_providers",
    "may_run_more_than_cpu",
    "name_of",
    "record",
]

CPU = "CPUExecutionProvider"

# The type of the argument of `onnxruntime.InferenceSession`.
Providers = Sequence[str | tuple[str, Mapping[Any, Any]]]

# The nodes that each provider runs, by its name; a node has a domain, an op_type and a name.
Assignment = Mapping[str, Sequence[Any]]

# Makes onnxruntime 1.24 and newer record which provider runs each node.
_RECORD_ENTRY = "session.record_ep_graph_assignment_info"


def checked_providers(providers: object) -> list[Any] | None:
    """The providers as a list; None stands for onnxruntime's default and stays None.

    Raises:
        RoiAlignError: `providers` is not a sequence of names and (name, options) pairs.
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


def name_of(provider: Any) -> str:
    """The name of one of `checked_providers`."""
    name: str = provider if isinstance(provider, str) else provider[0]
    return name


def may_run_more_than_cpu(providers: list[Any] | None, options: onnxruntime.SessionOptions) -> bool:
    """Whether a session with these options may have a provider beside the CPU's; the session itself decides."""
    if providers:
        return any(name_of(provider) not in (CPU, ep_name()) for provider in providers)
    return has_providers(options) or not {CPU, ep_name()}.issuperset(onnxruntime.get_available_providers())


def record(options: onnxruntime.SessionOptions) -> None:
    """Makes sessions with these options record which provider runs each node."""
    if config_entry(options, _RECORD_ENTRY) != "1":
        options.add_session_config_entry(_RECORD_ENTRY, "1")


def assignment(session: onnxruntime.InferenceSession) -> Assignment | None:
    """The nodes of each provider of a session whose options `record` has changed; None before onnxruntime 1.24."""
    method = getattr(session, "get_provider_graph_assignment_info", None)
    if method is None:
        return None
    found: dict[str, list[Any]] = {}
    for part in method():
        found.setdefault(part.ep_name, []).extend(part.get_nodes())
    return found

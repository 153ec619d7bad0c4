"""The cases that are known to fail, with the reason; the runner reports an entry that passes."""

from __future__ import annotations

from dataclasses import dataclass

from onnx_roialign.sessions.installed import has_builtin_kernel

__all__ = ["KnownFailure", "known_failures"]


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A case that a backend does not pass."""

    backend: str
    case: str
    reason: str


def known_failures() -> tuple[KnownFailure, ...]:
    """Returns the known failures of the installed onnxruntime."""
    if has_builtin_kernel(22):
        return ()
    reason = "this ONNX Runtime's CPU provider has no kernel for RoiAlign(22)"
    return tuple(
        KnownFailure("builtin", f"onnx/{name}@22", reason) for name in ("aligned_false", "aligned_true", "mode_max")
    )

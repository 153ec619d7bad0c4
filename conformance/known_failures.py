"""What is known not to pass, with the reason; the runner reports an entry that passes after all."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KNOWN_FAILURES", "KnownFailure"]


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """One case that one backend does not pass."""

    backend: str
    case: str
    reason: str


_NO_22 = "ONNX Runtime's CPU provider has no kernel for RoiAlign(22), up to 1.31.1 at least"

KNOWN_FAILURES = tuple(
    KnownFailure("builtin", f"onnx/{name}@22", _NO_22) for name in ("aligned_false", "aligned_true", "mode_max")
)

"""Runs the conformance suite on planted backends, over three small cases of ONNX's own."""

from __future__ import annotations

from pathlib import Path

from onnx_roialign.conformance.backends import find_backend
from onnx_roialign.conformance.cases import onnx_vectors
from onnx_roialign.conformance.process import Limits
from onnx_roialign.conformance.runner import identify, run

PLANTED = Path(__file__).with_name("planted_backends.py")
LIMITS = Limits(seconds=2.0, megabytes=600)


def three_cases():
    """ONNX's vectors at opset 16; the one of mode max, on which planted backends misbehave, is in the middle."""
    found = {case.id: case for case in onnx_vectors.cases()}
    return [found[f"onnx/{name}@16"] for name in ("aligned-false", "mode-max", "aligned-true")]


def planted(name):
    (launch,) = find_backend(f"{PLANTED}:{name}")
    return launch


def run_planted(name, cases=None, *, limits=LIMITS, jobs=1):
    launch = planted(name)
    return run(three_cases() if cases is None else cases, launch, identify(launch, limits), limits=limits, jobs=jobs)

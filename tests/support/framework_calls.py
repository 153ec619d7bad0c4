"""Helpers of tests/frameworks: recorded cases as calls, and models that must compute the calls' results."""

from __future__ import annotations

import inspect

import golden
import numpy as np
import onnx
import pytest
import tolerances
from onnx.reference import ReferenceEvaluator
from private_runs import ENGINES, run_model
from quiet import quiet_session

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.graph import unfuse
from onnx_roialign.ops import roi_align as private_op

CALL_ENGINES = ("native", "reference")

X = np.random.default_rng(0).standard_normal((2, 3, 12, 16)).astype(np.float32)
ROIS = np.float32([[0, 1, 2, 30, 20], [1, 0, 0, 8, 9.5], [1, 5, 5, 5.5, 5.25], [0, -9, 3, 40, 8]])


def difference(case, Y):
    """In units of max|X|; infinite where only one of the two is NaN."""
    off = np.where(np.isnan(case.Y) == np.isnan(Y), 0.0, np.inf)
    return np.fmax(np.abs(Y - case.Y) / np.abs(case.X).max(), off).max()


def five_columns(case):
    return np.column_stack([case.batch_indices.astype(np.float32), case.rois])


def grouped(case):
    """The case's boxes sorted by image, the number of boxes of each image, and the result in that order."""
    order = np.argsort(case.batch_indices, kind="stable")
    counts = np.bincount(case.batch_indices, minlength=len(case.X)).astype(np.int32)
    return case.rois[order], counts, case.Y[order]


def size(case):
    return case.arguments["output_height"], case.arguments["output_width"]


def kinds_of_cases(framework, per_kind=1):
    """A few recorded cases of every kind of RoI and preset, for tests that build a session each."""
    found = {}
    for case in golden.cases(framework):
        adaptive = case.arguments["sampling_ratio"] == 0
        found.setdefault((case.name.split("-")[1], case.preset, adaptive), []).append(case)
    return [pytest.param(case, id=f"{case.name}-{case.preset}") for own in found.values() for case in own[:per_kind]]


def assert_every_case_is_right(framework, call):
    """Checks ``call(case)`` for each of the framework's recorded cases."""
    cases = golden.cases(framework)
    assert len(cases) == 84
    wrong = {case.name: off for case in cases if not (off := difference(case, call(case))) <= tolerances.FLOAT32}
    assert wrong == {}


def assert_model_answers(model, feeds, want, tolerance=tolerances.FLOAT32):
    """Checks every engine within tolerance x max|X|."""
    onnx.checker.check_model(model)
    for engine in ENGINES:
        Y = run_model(model, feeds, engine)
        assert Y.dtype == want.dtype
        assert Y.shape == want.shape, engine
        scale = max(np.abs(value).max(initial=0) for value in feeds.values() if value.ndim == 4)
        np.testing.assert_allclose(Y, want, rtol=0, atol=tolerance * scale, err_msg=engine)


def assert_unfused_model_answers(model, feeds, want):
    """Checks a model in ONNX's own operators on onnxruntime's own kernels and, from opset 16 on, on onnx.reference.

    onnx.reference gives a RoiAlign of an opset before 16 the meaning of opset 16.
    """
    plain = unfuse(model)
    assert {domain for domain, _ in operators(plain)} == {""}
    onnx.checker.check_model(plain, full_check=True)
    runs = {"builtin": quiet_session(plain, "builtin")}
    if next(entry.version for entry in plain.opset_import if not entry.domain) >= HALF_PIXEL_OPSET:
        runs["onnx.reference"] = ReferenceEvaluator(plain)
    for name, running in runs.items():
        np.testing.assert_allclose(running.run(None, feeds)[0], want, rtol=0, atol=tolerances.EXPORTS, err_msg=name)


STANDARD = ("", "RoiAlign")
PRIVATE = (private_op.DOMAIN, private_op.OP_TYPE)


def operators(model):
    return {(node.domain, node.op_type) for node in model.graph.node}


def own_arguments(call):
    """The arguments of a framework call without `engine`: those of the framework, with their defaults."""
    parameters = [p for p in inspect.signature(call).parameters.values() if p.name != "engine"]
    return [p.name if p.default is p.empty else (p.name, p.default) for p in parameters]

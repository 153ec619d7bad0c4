"""Tests that the cases are unique, valid for ONNX, well conditioned and complete, and that our engines pass them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import onnx
import pytest

from onnx_roialign import RoiAlignError, reference_evaluator, session
from onnx_roialign.conformance.case import Tier
from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.cases.building import Call
from onnx_roialign.conformance.comparing import judge_error, judge_outputs
from onnx_roialign.conformance.result import Status
from onnx_roialign.engines.native import available_isas
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.silent import silent_options

CASES = all_cases()
BY_ID = {case.id: case for case in CASES}
PROVING = [case for case in CASES if case.tier in (Tier.SPEC, Tier.SETTLED)]


def single(case):
    """Returns the only node as a Call, if it is a RoiAlign on the graph's inputs; else None."""
    graph = case.model.graph
    if len(graph.node) != 1 or graph.node[0].op_type != "RoiAlign" or len(graph.input) != 3:
        return None
    given = {a.name: onnx.helper.get_attribute_value(a) for a in graph.node[0].attribute}
    given = {name: value.decode() if isinstance(value, bytes) else value for name, value in given.items()}
    return Call(*(case.inputs[name] for name in graph.node[0].input), case.opset, given)


def test_ids_are_unique_clauses_and_every_case_has_a_source():
    assert len(BY_ID) == len(CASES)
    for case in CASES:
        assert re.fullmatch(r"[a-z]+/[A-Za-z0-9.^/-]+(@\d+)?", case.id), case.id
        assert case.clause.endswith(".")
        assert case.source
        assert case.tolerance.reason


def test_there_are_cases_of_every_tier():
    counts = Counter(case.tier for case in CASES)
    assert counts[Tier.SPEC] >= 200
    assert counts[Tier.SETTLED] >= 100
    assert counts[Tier.ROBUST] >= 40
    assert counts[Tier.CONTESTED] >= 10


def test_spec_and_settled_cases_have_one_right_result_and_the_others_name_each_side():
    for case in CASES:
        if case in PROVING:
            assert len(case.outcomes) == 1
            assert case.outcomes[0].outputs is not None
        else:
            assert len({outcome.name for outcome in case.outcomes}) == len(case.outcomes)
            assert all(outcome.name for outcome in case.outcomes)
    assert all(len(case.outcomes) > 1 for case in CASES if case.tier is Tier.CONTESTED)


def test_the_sides_of_a_contested_case_differ_by_more_than_its_tolerance():
    for case in CASES:
        if case.tier is not Tier.CONTESTED:
            continue
        for outcome in case.outcomes:
            if outcome.outputs is not None:
                assert judge_outputs(case, outcome.outputs).side == outcome.name or _equal_earlier(case, outcome)


def _equal_earlier(case, outcome):
    """Tells whether an earlier side has the same result: "from 0" and "from -10000" agree on positive features."""
    return any(
        other.outputs is not None and np.array_equal(other.outputs["Y"], outcome.outputs["Y"])
        for other in case.outcomes[: case.outcomes.index(outcome)]
    )


def test_the_models_of_cases_that_must_be_computed_are_valid_with_their_inputs():
    for case in PROVING:
        onnx.checker.check_model(case.model, full_check=True)
        for value in case.model.graph.input:
            array, tensor = case.inputs[value.name], value.type.tensor_type
            assert array.dtype == onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            declared = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
            assert len(declared) == array.ndim
            assert all(d in (None, n) for d, n in zip(declared, array.shape, strict=True))


def test_outputs_have_the_names_and_types_of_the_graph_and_are_finite_where_the_features_are():
    for case in PROVING:
        finite = all(np.isfinite(array.astype(np.float64)).all() for array in case.inputs.values())
        for value in case.model.graph.output:
            array = case.outcomes[0].outputs[value.name]
            assert array.dtype == onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            assert np.isfinite(array.astype(np.float64)).all() == finite


def test_spec_cases_do_not_depend_on_the_order_of_float32_operations():
    checked = 0
    for case in CASES:
        call = single(case)
        if case.tier is not Tier.SPEC or call is None or case.id.startswith("onnx/"):
            continue
        near = call.conditioning()
        # Eight roundings of float32 at the largest coordinate: more than any order of operations causes.
        rounding = 8 * float(np.spacing(np.float32(near.reach)))
        assert near.cut > rounding, f"{case.id}: a sample {near.cut} px from a cut"
        assert near.integer > rounding, f"{case.id}: a grid {near.integer} from a whole number"
        checked += 1
    assert checked >= 200


def test_spec_cases_need_only_what_the_text_specifies():
    """The text specifies neither what samples outside the map count as nor that a RoI has a minimum size."""
    for case in CASES:
        call = single(case)
        if case.tier is not Tier.SPEC or call is None or case.id.startswith("onnx/"):
            continue
        assert call.conditioning().between, case.id
        sides = (call.rois[:, 2:] - call.rois[:, :2]).astype(np.float64) * call.attributes.get("spatial_scale", 1.0)
        assert (sides >= (call.rules.minimum or 1e-9)).all(), case.id


def test_settled_cases_at_discontinuities_are_exact():
    for case in CASES:
        call = single(case)
        if case.tier is not Tier.SETTLED or call is None:
            continue
        near = call.conditioning()
        rounding = 8 * float(np.spacing(np.float32(near.reach)))
        if near.cut <= rounding:
            assert near.cut == 0, case.id
            assert near.exact, case.id
        # A quotient without remainder is exact in every type; only a product with a rounded reciprocal is not.
        if near.integer <= rounding:
            assert near.integer == 0, case.id


def test_tolerances_are_tight():
    for case in PROVING:
        call = single(case)
        if case.id.startswith(("onnx/", "graphs/")) or call is None:
            continue  # decimal literals; several operators
        near = call.conditioning()
        # 4 ULP plus one for every 8 samples where positions are exact. Else a position of `reach` pixels is off by two
        # of its ULPs, and features of both signs change by 4 times the largest to the next pixel in y and in x.
        moved = 0 if near.exact else 16 * near.reach
        assert case.tolerance.ulps <= (1 if call.X.dtype.itemsize == 2 else 5 + near.samples / 8 + moved), case.id


def test_the_coverage_in_the_readme():
    calls = {case.id: call for case in CASES if (call := single(case)) is not None and case in PROVING}
    attributes = [call.attributes for call in calls.values()]
    assert {call.opset for call in calls.values()} == {10, 16, 22}
    for name in onnx.defs.get_schema("RoiAlign", 16).attributes:
        for opset in (10, 16, 22):
            given = {name in call.attributes for call in calls.values() if call.opset == opset}
            if opset > 10 or name != "coordinate_transformation_mode":
                assert given == {True, False}, (name, opset)
    assert {str(call.X.dtype) for call in calls.values()} == {"float16", "bfloat16", "float32", "float64"}
    assert {given.get("sampling_ratio", 0) for given in attributes} >= {0, 1, 2, 3, 4, 9, 17}
    assert {call.X.shape[1] for call in calls.values()} >= {1, 3, 17, 300}
    assert {len(call.rois) for call in calls.values()} >= {0, 1, 2, 100, 300}
    assert any(call.X.shape[2] != call.X.shape[3] for call in calls.values())
    assert any(call.shape[2] != call.shape[3] for call in calls.values())
    assert any(call.X.size and (call.X.astype(np.float64) < 0).all() for call in calls.values())
    assert {given.get("mode", "avg") for given in attributes} == {"avg", "max"}
    needed = {word for case in CASES for word in case.requires}
    assert needed >= {"If", "Loop", "model-local function", "Conv", "Constant"}


def native(isa):
    def run(case):
        options = silent_options()
        options.add_session_config_entry("onnx_roialign.isa", isa)
        running = session(case.model, options)
        names = [output.name for output in running.get_outputs()]
        return dict(zip(names, run_session(running, dict(case.inputs)), strict=True))

    return run


def reference(case):
    names = [output.name for output in case.model.graph.output]
    return dict(zip(names, reference_evaluator(case.model).run(names, dict(case.inputs)), strict=True))


@pytest.mark.parametrize("engine", ["reference", *available_isas()])
def test_the_packages_own_engines_pass_every_case(engine):
    run = reference if engine == "reference" else native(engine)
    failed = {}
    for case in CASES:
        try:
            result = judge_outputs(case, run(case))
        except RoiAlignError as error:
            result = judge_error(case, str(error))
        except Exception as error:  # an error of onnxruntime: it does not load the model
            result = judge_error(case, f"{type(error).__name__}: {error}")
        if result.status is not Status.PASS or result.text.startswith("none of the sides"):
            failed[case.id] = result.text
    assert failed == {}

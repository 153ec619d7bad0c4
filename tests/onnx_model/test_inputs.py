"""Tests the inputs that `run` and `validate` generate: undeclared shapes, types that NumPy lacks, crashing engines."""

from __future__ import annotations

import re
import sys

import graph_models
import ml_dtypes
import numpy as np
import onnx
import pytest
import tolerances
from calls import BATCH_INDICES, FEEDS, ROIS, X
from command_line import invoke
from onnx import TensorProto, helper
from quiet import DOORS, ENGINES, quiet_session
from refusals import EARLY_BFLOAT16, assert_provider_refuses

from models import DTYPES, SHAPE, TYPES, make_model, model
from onnx_roialign import RoiAlignError
from onnx_roialign.arrays import largest_difference
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.graph import validate
from onnx_roialign.onnx_model.inputs import generated_inputs, given_inputs
from onnx_roialign.sessions import apart
from onnx_roialign.sessions.apart import try_engines_apart
from onnx_roialign.sessions.feeding import run_session


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")


def rows(result):
    """The cells of each engine's row."""
    lines = [line for line in result.stdout.splitlines() if re.match("│ (native|reference|builtin) ", line)]
    return {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in (line.split("│") for line in lines)}


def saved(tmp_path, proto, **arrays):
    onnx.save(proto, tmp_path / "model.onnx")
    np.savez(tmp_path / "arrays.npz", **arrays)
    return tmp_path / "model.onnx", tmp_path / "arrays.npz"


# Inputs without shapes


@pytest.mark.parametrize("named", [True, False], ids=["given", "generated"])
def test_a_model_whose_inputs_declare_no_shape_runs_on_every_engine(tmp_path, named):
    path, arrays = saved(tmp_path, model(16), **FEEDS)
    result = invoke("run", path, "--repeat", 1, *(("--inputs", arrays) if named else ()))
    assert result.exit_code == 0, result.stderr
    assert {engine: cells[0] for engine, cells in rows(result).items()} == dict.fromkeys(
        ("native", "reference", "builtin"), "yes"
    )


def test_an_input_of_a_roi_align_is_generated_in_its_shape():
    made = generated_inputs(model(16))
    assert {name: array.shape for name, array in made.items()} == {
        "X": (2, 2, 64, 64),
        "rois": (8, 4),
        "batch_indices": (8,),
    }
    assert (made["rois"][:, :2] < made["rois"][:, 2:]).all()


def test_an_input_of_unknown_shape_is_not_generated(tmp_path):
    nodes = [helper.make_node("Relu", ["X"], ["F"]), model(16).graph.node[0]]
    nodes[1].input[0] = "F"
    path, _ = saved(tmp_path, make_model(nodes, 16))
    result = invoke("run", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "X must have a shape for inputs to be generated, got none; pass --inputs" in result.stderr


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((5, 9, 11), ("K", 4), ("K",)), r"X must have rank 4 .*, as the model declares its inputs \(node 'pool'\)"),
        (((1, 5, 9, 11), ("K", 5), ("K",)), r"rois must have shape \(num_rois, 4\), got .*5\)"),
        (((1, 5, 9, 11), (3, 4), (2,)), "rois and batch_indices must have the same count, got 3 and 2"),
        (((2**40, 5, 9, 11), ("K", 4), ("K",)), r"X must have at most 268435456 elements to be generated, got shape"),
    ],
)
def test_no_engine_gets_what_roi_align_refuses(shapes, message):
    with pytest.raises(RoiAlignError, match=message):
        generated_inputs(make_model([model(16).graph.node[0]], 16, shapes=shapes))


# Engines that crash


def test_a_crash_of_onnxruntimes_own_kernel_is_in_the_table(tmp_path):
    scalars = {"X": np.float32(1), "rois": np.float32(1), "batch_indices": np.int64(0)}
    path, arrays = saved(tmp_path, model(16), **scalars)
    result = invoke("run", path, "--inputs", arrays, "--repeat", 1)
    assert result.exit_code == 1
    refusals = {engine: cells[0] for engine, cells in rows(result).items()}
    assert set(refusals) == {"native", "reference", "builtin"}
    assert all("X must have rank 4" in refusals[engine] for engine in ("native", "reference"))
    assert re.match(r"crashed \(SIG|loads, but does not run", refusals["builtin"])  # by its version


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("import os; os.abort()", r"crashed \(SIGABRT\)$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"crashed \(SIGSEGV\)$"),
        ("import sys; sys.stderr.write('a\\nno  memory\\n'); sys.exit(7)", r"crashed \(exit code 7\): no memory$"),
        ("print('no answer of ours')", r"crashed \(exit code 0\)$"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals have no numbers there")
def test_the_end_of_the_process_is_the_trials_result(tmp_path, monkeypatch, code, refusal):
    monkeypatch.setattr(apart, "_COMMAND", (sys.executable, "-c", code))
    path, _ = saved(tmp_path, model(16))
    (trial,) = try_engines_apart(path, FEEDS, ["native"])
    assert re.match(refusal, trial.refusal)
    assert trial.outputs == {}


def test_a_trial_apart_returns_what_one_in_this_process_does(tmp_path):
    path, _ = saved(tmp_path, model(16))
    seen = []
    (trial,) = try_engines_apart(path, FEEDS, ["native"], repeat=3, after_run=lambda: seen.append(1))
    assert (len(seen), trial.refusal, len(trial.milliseconds)) == (4, None, 3)
    assert min(trial.milliseconds) > 0
    for door in DOORS:
        np.testing.assert_array_equal(trial.outputs["Y"], quiet_session(model(16), door).run(None, FEEDS)[0])


# bfloat16


def bfloat16_feeds():
    kind = DTYPES["bfloat16"]
    return {"X": X.astype(kind), "rois": ROIS.astype(kind), "batch_indices": BATCH_INDICES}


def bfloat16_model(opset=16):
    return model(opset, element_type=TYPES["bfloat16"])


def running(engine):
    """ONNX's RoiAlign has bfloat16 since opset 22; before, onnxruntime hands it to no provider."""
    if engine == "provider":
        assert_provider_refuses(bfloat16_model(), EARLY_BFLOAT16)
    return quiet_session(bfloat16_model(22 if engine == "provider" else 16), engine)


def wanted():
    return reference.roi_align(*bfloat16_feeds().values(), Attributes(**SHAPE, semantics=PRESETS["onnx_half_pixel"]))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [4, 1, 0])
def test_bfloat16_inputs_and_outputs(engine, count):
    feeds = {name: array[:count] if name != "X" else array for name, array in bfloat16_feeds().items()}
    (got,) = run_session(running(engine), feeds)
    assert got.dtype == ml_dtypes.bfloat16
    assert got.shape == (count, 5, 3, 2)
    step = 2.0**-7 * np.abs(wanted().astype(np.float64))[:count]
    assert (np.abs(got.astype(np.float64) - wanted().astype(np.float64)[:count]) <= step).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_array_that_is_not_contiguous_is_accepted(engine):
    feeds, session = bfloat16_feeds(), running(engine)
    (want,) = run_session(session, feeds)
    turned = np.ascontiguousarray(feeds["X"].transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(run_session(session, {**feeds, "X": turned})[0], want)


def test_run_and_validate_read_bfloat16_from_a_file(tmp_path):
    path, arrays = saved(tmp_path, bfloat16_model(), **bfloat16_feeds(), Y=wanted())
    feeds, expected = given_inputs(onnx.load(path), arrays)
    assert {array.dtype.name for array in (feeds["X"], feeds["rois"], expected["Y"])} == {"bfloat16"}
    result = invoke("run", path, "--inputs", arrays, "--repeat", 1)
    assert (result.exit_code, rows(result)["native"][0], rows(result)["reference"][0]) == (0, "yes", "yes")
    found = validate(path, "onnx:16", inputs=feeds, expected=expected)
    # onnx 1.19 infers by the schema, in which RoiAlign(16) has no bfloat16; later releases do not.
    assert {one.code for one in found if one.severity == "error"} <= {"inconsistent-types"}
    wrong = [finding.code for finding in validate(path, "onnx:10", inputs=feeds, expected=expected)]
    assert "half-pixel-added" in wrong
    assert "wrong-answer" in wrong


def test_an_array_of_another_type_is_refused_by_name(tmp_path):
    path, arrays = saved(tmp_path, bfloat16_model(), **FEEDS)
    result = invoke("run", path, "--inputs", arrays)
    assert result.exit_code == 2
    assert "X must be bfloat16, got float32" in result.stderr


# Outputs that are no arrays of numbers, or have another shape


def test_expected_outputs_of_another_shape_differ(tmp_path):
    path, arrays = saved(tmp_path, model(16), **FEEDS, Y=np.zeros((4, 5, 3, 3), np.float32))
    result = invoke("run", path, "--inputs", arrays, "--engine", "native")
    assert "Y has shape (4, 5, 3, 2), not (4, 5, 3, 3)" in result.stdout


def test_a_sequence_among_the_outputs_is_compared_part_by_part(tmp_path):
    nodes = [model(16).graph.node[0], helper.make_node("SequenceConstruct", ["Y", "X"], ["S"])]
    proto = make_model(nodes, 16)
    proto.graph.output.append(helper.make_tensor_sequence_value_info("S", TensorProto.FLOAT, None))
    path, arrays = saved(tmp_path, proto, **FEEDS)
    result = invoke("run", path, "--inputs", arrays, "--repeat", 1)
    assert result.exit_code == 0
    assert {cells[0] for cells in rows(result).values()} == {"yes"}


def test_the_largest_difference_of_values_that_are_not_arrays():
    one, two = np.float32([1, 2]), np.float32([1, 2.5])
    assert largest_difference([one, one], [one, two]) == 0.5
    assert largest_difference([one], [one, two]) == np.inf
    assert largest_difference([], []) == 0
    assert largest_difference(None, None) == 0
    assert largest_difference(None, one) == np.inf
    assert largest_difference(np.array(["a"]), np.array(["a"])) == 0
    assert largest_difference(np.array(["a"]), np.array(["b"])) == np.inf


@pytest.mark.parametrize("body", ["if", "loop", "scan"])
@pytest.mark.parametrize("opset", [11, 16, 21])
def test_every_body_runs_on_every_engine(body, opset, door):
    given = graph_models.BODIES[body](opset)
    feeds = FEEDS | ({"which": np.array(True)} if body == "if" else {})
    (want,) = quiet_session(given, door).run(None, feeds)
    (got,) = quiet_session(given, "reference").run(None, feeds)
    assert largest_difference(got, want) <= tolerances.FLOAT32 * np.abs(X).max()

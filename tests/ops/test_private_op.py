"""Tests onnx_roialign::AnyRoiAlign: it expresses every meaning in a model, on every engine."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import calls
import numpy as np
import onnx
import onnxruntime
import pytest
import tolerances
from calls import FEEDS
from onnx import TensorProto, helper, numpy_helper
from private_runs import ENGINES, SESSIONS, run_model
from quiet import bare_options, quiet_options, quiet_session

import onnx_roialign
from models import DTYPES, SHAPE, TYPES, float_kinds, private_model, private_node, roi_align_node
from onnx_roialign import PRESETS, RoiAlignError, Semantics
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.graph import repair, validate
from onnx_roialign.identification.node import find_node
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.schema import known_to_onnx

# Every field differs from its default at least once, beside the frameworks' own meanings.
DIALECTS = {
    **PRESETS,
    "borders": Semantics(
        offset=0.25, min_size=0.5, start_shift=0.75, end_shift=2.0, max_start=-0.25, border="exclusive"
    ),
}


def attributes_of(semantics, **attributes):
    return private_op.attributes_of(Attributes(**{**SHAPE, **attributes}, semantics=semantics))


def expected(semantics, dtype=np.float32, **attributes):
    X, rois, batch_indices = FEEDS.values()
    made = Attributes(**{**SHAPE, **attributes}, semantics=semantics)
    return reference.roi_align(X.astype(dtype), rois.astype(dtype), batch_indices, made)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("mode", "sampling_ratio"), [("avg", 2), ("avg", 0), ("max", 2)])
def test_a_model_with_private_ops_expresses_every_semantics(engine, dialect, mode, sampling_ratio):
    semantics = DIALECTS[dialect]
    given = {"mode": mode, "sampling_ratio": sampling_ratio}
    Y = run_model(private_model([private_node(**attributes_of(semantics, **given))], float_kinds()), FEEDS, engine)
    np.testing.assert_allclose(
        Y, expected(semantics, **given), rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max()
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_the_semantics_of_these_tests_differ_so_their_attributes_are_read(engine):
    answers = {}
    for name in ("onnx_half_pixel", "paddle_legacy", "mindspore_1", "mindspore_0", "borders"):
        node = private_node(**attributes_of(DIALECTS[name], sampling_ratio=0))
        answers[name] = run_model(private_model([node], float_kinds()), FEEDS, engine)
    names = list(answers)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert not np.allclose(answers[first], answers[second], atol=1e-3, equal_nan=True), (first, second)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_float_type_runs(engine, dtype):
    semantics = PRESETS["mindspore_1"]
    nodes = [
        helper.make_node("Cast", ["X"], ["X_cast"], to=TYPES[dtype]),
        helper.make_node("Cast", ["rois"], ["rois_cast"], to=TYPES[dtype]),
        private_node("X_cast", "rois_cast", "batch_indices", "Y_cast", **attributes_of(semantics)),
        helper.make_node("Cast", ["Y_cast"], ["Y"], to=TensorProto.FLOAT),
    ]
    Y = run_model(private_model(nodes, float_kinds(), opset=16), FEEDS, engine)
    want = expected(semantics, DTYPES[dtype]).astype(np.float32)
    epsilon = {"float16": 2**-10, "bfloat16": 2**-7}.get(dtype, tolerances.FLOAT32)
    np.testing.assert_allclose(Y, want, rtol=epsilon, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_node_without_attributes_has_the_defaults(engine):
    Y = run_model(private_model([private_node()], float_kinds()), FEEDS, engine)
    want = reference.roi_align(*FEEDS.values(), Attributes(semantics=Semantics()))
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


@pytest.mark.parametrize("op_type", private_op.OP_TYPES)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_op_is_read_under_its_present_and_its_former_name(engine, op_type):
    attributes = attributes_of(PRESETS["mindspore_1"])
    model = private_model([private_node(op_type=op_type, **attributes)], float_kinds(), opset=16)
    Y, want = run_model(model, FEEDS, engine), expected(PRESETS["mindspore_1"])
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())
    assert validate(model, "mindspore:roi_end_mode=1") == []
    assert [finding.code for finding in validate(model, "mindspore:roi_end_mode=0")] == ["minimum-size", "end-shift"]
    repaired = repair(model, "mindspore:roi_end_mode=0")
    assert private_op.OP_TYPES[1] not in {node.op_type for node in repaired.graph.node if node.domain}
    assert find_node(model, None, Path("model.onnx")).meant == PRESETS["mindspore_1"]
    with known_to_onnx():
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph.output[0]
    assert len(inferred.type.tensor_type.shape.dim) == 4


def test_no_other_domain_has_an_operator_of_the_written_name():
    names = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain != private_op.DOMAIN}
    assert "RoiAlign" in names
    assert not {private_op.OP_TYPE, private_op.QLINEAR_OP_TYPE} & names
    assert private_op.make_node("X", "rois", "batch_indices", "Y", Attributes()).op_type == private_op.OP_TYPE


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("opset", [10, 16])
def test_private_and_standard_ops_run_in_one_model(engine, opset):
    nodes = [
        roi_align_node("X", "rois", "batch_indices", "standard", name="standard"),
        private_node("X", "rois", "batch_indices", "private", **attributes_of(PRESETS["mindspore_1"])),
        helper.make_node("Sub", ["private", "standard"], ["Y"]),
    ]
    Y = run_model(private_model(nodes, float_kinds(), opset=opset), FEEDS, engine)
    want = expected(PRESETS["mindspore_1"]) - calls.expected(opset)
    assert np.abs(want).max() > 0.1
    np.testing.assert_allclose(Y, want, rtol=0, atol=2 * tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_private_op_in_a_function_runs(engine, dtype):
    names = ["X", "rois", "batch_indices"]
    body = [private_node(**attributes_of(PRESETS["mindspore_0"]))]
    imports = [helper.make_opsetid(private_op.DOMAIN, 1)]
    function = helper.make_function("local", "Pool", names, ["Y"], body, imports)
    call = helper.make_node("Pool", names, ["Y"], domain="local")
    kinds = float_kinds(TYPES[dtype])
    model = private_model([call], kinds, opset=16, functions=(function,), domains=("local",))
    feeds = {name: value.astype(dtype) if name != "batch_indices" else value for name, value in FEEDS.items()}
    want = expected(PRESETS["mindspore_0"], dtype)
    tolerance = tolerances.FLOAT32 * np.abs(FEEDS["X"]).max() if dtype == "float32" else 2**-9
    np.testing.assert_allclose(run_model(model, feeds, engine), want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("opset", [None, 16])
def test_the_bare_library_runs_a_model_of_private_ops_without_an_opset_entry(opset):
    semantics = PRESETS["mindspore_1"]
    model = private_model([private_node(**attributes_of(semantics))], float_kinds(), opset=opset)
    session = onnxruntime.InferenceSession(model.SerializeToString(), bare_options(), ["CPUExecutionProvider"])
    Y = session.run(None, FEEDS)[0]
    np.testing.assert_allclose(Y, expected(semantics), rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


def test_register_accepts_a_model_of_private_ops():
    model = private_model([private_node(**attributes_of(PRESETS["mindspore_1"]))], float_kinds())
    options = quiet_options()
    onnx_roialign.register(options, model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    (Y,), want = session.run(None, FEEDS), expected(PRESETS["mindspore_1"])
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


BAD = [
    ({"adaptive": "round"}, "adaptive must be 'ceil' or 'floor', got 'round'"),
    ({"empty": "one"}, "empty must be 'zero' or 'nan', got 'one'"),
    ({"max_rule": "all"}, "max_rule must be 'corners' or 'samples', got 'all'"),
    ({"border": "open"}, "border must be 'inclusive' or 'exclusive', got 'open'"),
    ({"mode": "min"}, "mode must be 'avg' or 'max', got 'min'"),
    ({"offset": float("nan")}, "offset must be a finite number, got nan"),
    ({"end_shift": float("-inf")}, "end_shift must be a finite number, got -inf"),
    ({"start_shift": float("nan")}, "start_shift must be a finite number, got nan"),
    ({"max_start": float("-inf")}, "max_start must be a finite number, got -inf"),
    ({"min_size": float("inf")}, "min_size must be a finite number, got inf"),
    ({"offset": 1}, "offset must be a float, got an integer"),
    ({"min_size": "none"}, "min_size must be a float, got a string"),
    ({"adaptive": 1}, "adaptive must be a string, got an integer"),
    ({"sampling_ratio": 2.0}, "sampling_ratio must be an integer, got a float"),
    ({"sampling_ratio": -1}, "sampling_ratio must be in [0, 16384], got -1"),
    ({"output_height": 0}, "output_height must be at least 1, got 0"),
    ({"spatial_scale": 0.0}, "spatial_scale must be finite and > 0, got 0"),
]


@pytest.mark.parametrize(("attributes", "text"), BAD)
@pytest.mark.parametrize("engine", SESSIONS)
def test_a_bad_attribute_is_refused_when_the_session_is_created(engine, attributes, text):
    model = private_model([private_node(name="head", **attributes)], float_kinds())
    with pytest.raises(Exception, match=re.escape(f"{text} (node 'head')")):
        quiet_session(model, engine)


@pytest.mark.parametrize(("attributes", "text"), [pair for pair in BAD if not re.search("must be an? ", pair[1])])
def test_a_bad_attribute_is_refused_by_the_evaluator(attributes, text):
    model = private_model([private_node(name="head", **attributes)], float_kinds())
    with pytest.raises(RoiAlignError, match=re.escape(f"{text} (node 'head')")):
        onnx_roialign.reference_evaluator(model).run(None, FEEDS)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bad_input_names_the_node(engine):
    model = private_model([private_node(name="head", **attributes_of(Semantics()))], float_kinds())
    feeds = {**FEEDS, "batch_indices": np.array([0, 1, 5, 0])}
    with pytest.raises(Exception, match=re.escape("batch_indices must be in [0, 2), got 5 at row 2 (node 'head')")):
        run_model(model, feeds, engine)


def test_an_attribute_that_the_op_does_not_have_is_refused_by_name():
    known = "output_height, output_width, sampling_ratio, spatial_scale, mode, offset, min_size, start_shift, end_shift"
    with pytest.raises(RoiAlignError, match=rf"onnx_roialign::AnyRoiAlign must be one of {known}.*, got 'aligned'"):
        private_op.read_attributes({"aligned": 1})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_written_is_read_back(dialect):
    attributes = Attributes(**SHAPE, mode="max", semantics=DIALECTS[dialect])
    assert private_op.read_attributes(private_op.attributes_of(attributes)) == attributes


def test_every_field_is_written_except_a_missing_bound():
    written = set(private_op.attributes_of(Attributes(semantics=Semantics(min_size=1, max_start=0))))
    fields = {field.name for kind in (Attributes, Semantics) for field in dataclasses.fields(kind)} - {"semantics"}
    assert written == fields == {name for name, _ in private_op.ATTRIBUTE_TYPES}
    assert set(private_op.attributes_of(Attributes(semantics=Semantics()))) == fields - {"min_size", "max_start"}


def test_whole_numbers_are_written_as_floats():
    attributes = Attributes(
        spatial_scale=1, semantics=Semantics(offset=0, min_size=1, start_shift=1, end_shift=1, max_start=-1)
    )
    node = private_op.make_node("X", "rois", "batch_indices", "Y", attributes)
    kinds = {a.name: a.type for a in node.attribute}
    assert kinds == dict(private_op.ATTRIBUTE_TYPES)


def test_the_checker_accepts_only_a_model_that_imports_the_domain():
    shapes = {"X": [2, 5, 9, 11], "rois": ["K", 4], "batch_indices": ["K"]}
    model = private_model([private_node(**attributes_of(Semantics()))], float_kinds(), opset=16, shapes=shapes)
    model.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "K"
    onnx.checker.check_model(model)
    (ours,) = [entry for entry in model.opset_import if entry.domain == private_op.DOMAIN]
    model.opset_import.remove(ours)
    with pytest.raises(onnx.checker.ValidationError, match="onnx_roialign"):
        onnx.checker.check_model(model)


def shaped_model():
    shapes = {"X": ["N", 7, "H", "W"], "rois": ["K", 4], "batch_indices": ["K"]}
    return private_model([private_node(output_height=3)], float_kinds(TensorProto.FLOAT16), shapes=shapes, opset=16)


def test_onnx_infers_the_type_and_the_shape_of_a_private_op():
    model = shaped_model()
    model.graph.output[0].type.Clear()
    with known_to_onnx():
        found = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type
    assert found.elem_type == TensorProto.FLOAT16
    assert [dim.dim_param or dim.dim_value for dim in found.shape.dim] == ["K", 7, 3, 1]


def test_onnxruntime_infers_the_shape_of_a_private_op(door):
    session = quiet_session(shaped_model(), door)
    assert session.get_outputs()[0].shape == ["K", 7, 3, 1]


def test_the_private_ops_are_removed_from_onnxs_registry():
    with known_to_onnx():
        assert onnx.defs.has(private_op.OP_TYPE, private_op.DOMAIN)
    assert not onnx.defs.has(private_op.OP_TYPE, private_op.DOMAIN)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_python_op_has_a_16_bit_type_behind_another_private_op(dtype):
    kind = TYPES[dtype]
    nodes = [
        helper.make_node("Cast", ["X"], ["X_cast"], to=kind),
        helper.make_node("Cast", ["rois"], ["rois_cast"], to=kind),
        private_node("X_cast", "rois_cast", "batch_indices", "first", name="first", output_height=2, output_width=2),
        helper.make_node("Slice", ["first", "zero", "one", "one"], ["channel"]),
        helper.make_node("Reshape", ["channel", "by_four"], ["boxes"]),
        private_node("first", "boxes", "batch_indices", "second", name="second"),
        helper.make_node("Cast", ["second"], ["Y"], to=TensorProto.FLOAT),
    ]
    model = private_model(nodes, float_kinds(), opset=16)
    for name, value in (("zero", [0]), ("one", [1]), ("by_four", [-1, 4])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    want = run_model(model, FEEDS, "native")
    np.testing.assert_allclose(run_model(model, FEEDS, "reference"), want, rtol=2**-7, atol=1e-3)

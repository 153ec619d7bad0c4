"""Tests make_explicit: every node states its RoiAlign's meaning, so that the library alone returns the same bits."""

from __future__ import annotations

import os
import subprocess
import sys

import exports
import graph_models
import numpy as np
import onnx
import onnxruntime
import pytest
from calls import FEEDS
from graph_models import BODIES, HALF, LEGACY
from installed_versions import newest_opset
from nested_models import NESTED, first_opset
from node_facts import opset_of, roi_aligns
from onnx import TensorProto, helper
from quiet import bare_options, bare_session, run_all

import onnx_roialign
from models import cast_model, model
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import make_explicit
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import is_explicit, is_private

NAMES = exports.names()


def assert_bare_library_gives_the_same_bits(given, explicit, feeds):
    """Only the library runs the explicit model, and returns what `session()` returns for the model itself."""
    for got, want in zip(bare_session(explicit).run(None, feeds), run_all(given, feeds), strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_export_runs_on_the_bare_library(name):
    export = exports.load(name)
    given = onnx.load_from_string(export.model)
    explicit = make_explicit(given)
    assert all(is_private(node) or is_explicit(node) for node in roi_aligns(explicit))
    assert make_explicit(explicit) == explicit
    if name.startswith("skeletons"):
        return  # they have no weights: no session loads them
    onnx.checker.check_model(explicit)
    if opset_of(explicit) <= newest_opset():
        assert_bare_library_gives_the_same_bits(given, explicit, export.feeds())


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("attributes", [{}, HALF, LEGACY], ids=str)
@pytest.mark.parametrize("first", [10, 15, 16, 21])
def test_bodies_and_functions_are_explicit_too(body, attributes, first):
    if first < 16 and attributes:
        with pytest.raises(RoiAlignError, match=f"coordinate_transformation_mode must not be set .* at opset {first}"):
            onnx_roialign.graph.convert_opset(BODIES[body](first, **attributes), 16)
        return
    given = BODIES[body](first, **attributes)
    explicit = make_explicit(given)
    assert opset_of(explicit) == max(first, 16)
    assert all(is_explicit(node) for node in roi_aligns(explicit))
    feeds = FEEDS | ({"which": np.array(True)} if body == "if" else {})
    assert_bare_library_gives_the_same_bits(given, explicit, feeds)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("first", [13, 16])
def test_16_bit_models_give_the_same_bits(kind, first):
    given = cast_model(first, kind)
    assert_bare_library_gives_the_same_bits(given, make_explicit(given), FEEDS)


@pytest.mark.parametrize("first", [10, 15])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_a_model_that_cannot_be_raised_gets_the_private_op(first, ratio, mode):
    given = model(first, sampling_ratio=ratio, mode=mode)
    given.graph.node.add(op_type="NoSuchOp", input=["X"], output=["Z"])
    explicit = make_explicit(given)
    assert (opset_of(explicit), {node.domain for node in roi_aligns(explicit)}) == (first, {private_op.DOMAIN})
    for one in (given, explicit):
        del one.graph.node[-1]  # which no runtime has
    assert_bare_library_gives_the_same_bits(given, explicit, FEEDS)


def test_functions_may_have_another_opset():
    given = graph_models.in_function(16, function_opset=11)
    explicit = make_explicit(given)
    (node,) = roi_aligns(explicit)
    assert {attribute.name: attribute.s for attribute in node.attribute}[
        "coordinate_transformation_mode"
    ] == b"output_half_pixel"
    assert {entry.version for entry in explicit.functions[0].opset_import} == {16}


def test_a_function_that_is_called_with_and_without_the_mode_is_inlined():
    given = graph_models.in_function(16)
    inner = given.functions[0].node[0]
    inner.attribute.append(
        onnx.AttributeProto(name="coordinate_transformation_mode", ref_attr_name="how", type=onnx.AttributeProto.STRING)
    )
    given.functions[0].attribute.append("how")
    second = given.graph.node.add()
    second.CopyFrom(given.graph.node[0])
    second.output[0] = second.name = "Z"
    second.attribute.append(helper.make_attribute("how", "output_half_pixel"))
    given.graph.output.append(helper.make_tensor_value_info("Z", TensorProto.FLOAT, None))
    explicit = make_explicit(given)
    modes = {
        node.output[0]: {attribute.name: attribute.s for attribute in node.attribute} for node in roi_aligns(explicit)
    }
    assert [one["coordinate_transformation_mode"] for one in modes.values()] == [b"half_pixel", b"output_half_pixel"]
    assert_bare_library_gives_the_same_bits(given, explicit, FEEDS)


def test_the_model_is_not_changed_and_one_that_is_explicit_is_a_copy():
    given = model(16)
    before = given.SerializeToString()
    explicit = make_explicit(given)
    again = make_explicit(explicit)
    assert given.SerializeToString() == before
    assert again is not explicit
    assert again.SerializeToString() == explicit.SerializeToString() != before


def test_external_data_stays_where_it_is(tmp_path):
    given = graph_models.network(0.25)
    path = tmp_path / "model.onnx"
    onnx.save_model(given, path, save_as_external_data=True, location="weights", size_threshold=0)
    explicit = make_explicit(path)
    assert {tensor.data_location for tensor in explicit.graph.initializer} == {TensorProto.EXTERNAL}
    (tmp_path / "explicit.onnx").write_bytes(explicit.SerializeToString())
    feeds = {"image": np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)}
    feeds |= {"rois": FEEDS["rois"], "batch_indices": np.zeros(4, np.int64)}
    bare = onnxruntime.InferenceSession(tmp_path / "explicit.onnx", bare_options(), ["CPUExecutionProvider"])
    np.testing.assert_array_equal(bare.run(None, feeds)[0], onnx_roialign.session(path).run(None, feeds)[0])


@pytest.mark.parametrize("opset_", [15, 16])
def test_a_roi_align_that_is_not_valid_is_refused(opset_):
    with pytest.raises(RoiAlignError, match=r"mode must be 'avg' or 'max', got 'median' \(node 'pool'\)"):
        make_explicit(model(opset_, mode="median"))


def test_the_error_of_the_bare_library_names_the_command():
    with pytest.raises(Exception, match="onnx-roialign make-explicit MODEL -o OUT"):
        onnxruntime.InferenceSession(model(16).SerializeToString(), bare_options(), ["CPUExecutionProvider"])


_LARGE = """
import resource, sys
import onnx
from onnx_roialign.graph import convert_opset, make_explicit, repair, validate

path, limit = sys.argv[1], 1 << 31
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))  # the weights are 3 GB: they do not fit
for change in (make_explicit, lambda one: convert_opset(one, 21), lambda one: repair(one, "torchvision:aligned=True")):
    changed = change(path)
    (weight,) = (one for one in changed.graph.initializer if one.name == "large")
    assert {one.key: one.value for one in weight.external_data}["location"] == "weights"
    assert not weight.HasField("raw_data")
    onnx.save(changed, path + ".changed")
    assert [one.code for one in validate(path + ".changed")] == []
"""


@pytest.mark.parametrize("opset_", [11, 16])
def test_weights_of_3_gb_beside_the_model_are_not_read(opset_, tmp_path):
    given = model(opset_)
    given.graph.node.add(op_type="Identity", input=["large"], output=["copy"])
    large = given.graph.initializer.add(name="large", data_type=TensorProto.FLOAT, dims=[3, 1 << 28])
    large.data_location = TensorProto.EXTERNAL
    large.external_data.add(key="location", value="weights")
    (tmp_path / "weights").touch()
    os.truncate(tmp_path / "weights", 3 << 30)  # a sparse file: it occupies no space
    path = tmp_path / "model.onnx"
    path.write_bytes(given.SerializeToString())
    before = path.read_bytes()
    subprocess.run([sys.executable, "-c", _LARGE, str(path)], check=True, timeout=200)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", NESTED)
@pytest.mark.parametrize("first", [11, 16, 21])
def test_less_usual_forms_run_on_the_bare_library(form, first):
    given = NESTED[form](max(first, first_opset(form)))
    assert_bare_library_gives_the_same_bits(given, make_explicit(given), {**FEEDS, "which": np.array(True)})


@pytest.mark.parametrize("first", [10, 16, 21])
def test_private_ops_beside_onnxs_own_run_on_the_bare_library(first):
    """The quantized op reads the output of onnx's own, and derives boxes of another meaning from it."""
    given = model(first)
    shape = {"output_height": 2, "output_width": 2, "sampling_ratio": 0, "spatial_scale": 0.5}
    given.graph.node.extend(
        [
            graph_models.constant("scale", 0.25),
            graph_models.constant("zero", 128, np.uint8),
            helper.make_node("QuantizeLinear", ["X", "scale", "zero"], ["Q"]),
            helper.make_node(
                "QLinearRoiAlign",
                ["Q", "scale", "zero", "rois", "batch_indices"],
                ["QY"],
                domain=private_op.DOMAIN,
                **shape,
            ),
            helper.make_node(
                private_op.OP_TYPE, ["X", "rois", "batch_indices"], ["Z"], domain=private_op.DOMAIN, adaptive="floor"
            ),
        ]
    )
    given.opset_import.append(helper.make_opsetid(private_op.DOMAIN, 1))
    for name, kind in (("QY", TensorProto.UINT8), ("Z", TensorProto.FLOAT)):
        given.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    explicit = make_explicit(given)
    assert explicit.graph.node[-2:] == given.graph.node[-2:]
    assert_bare_library_gives_the_same_bits(given, explicit, FEEDS)

"""Tests which parts of a model fuse keeps and drops, and how it uses a source."""

from __future__ import annotations

import numpy as np
import onnx
import pooler_exports
import pytest
from onnx import TensorProto, helper
from quiet import run_all
from tolerances import FUSED

import onnx_roialign
from models import check_with_schemas
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import fuse, repair
from onnx_roialign.ops.roi_align import DOMAIN

# Aligned pooling that mmdeploy and mmdetection write as RoI - 0.5 / scale below opset 16.
SHIFTED = ("mmdeploy_3levels_ts11", "mmdet228_masked_add_3levels_ts11")


def documented(name="detectron2_3levels_1image_ts17"):
    """A pooler with documentation everywhere, and a node that nothing reads."""
    model = pooler_exports.load(name)
    model.doc_string, model.graph.doc_string, model.producer_name = "of the model", "of the graph", "PyTorch"
    model.metadata_props.add(key="author", value="nobody")
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = f"of {value.name}"
    pooled = model.graph.output[0].name
    end = next(node for node in model.graph.node if pooled in node.output)
    end.output[0] = "merged"
    model.graph.node.append(helper.make_node("Relu", ["merged"], [pooled], "the_head", doc_string="of the head"))
    pooled = next(node for node in model.graph.node if node.op_type == "RoiAlign").output[0]
    model.graph.node.append(helper.make_node("Neg", [pooled], ["unread"], "dead"))
    return model


def test_names_and_documentation_are_kept():
    given = documented()
    fused = fuse(given).model
    for field in ("doc_string", "producer_name", "metadata_props", "ir_version"):
        assert getattr(fused, field) == getattr(given, field)
    for field in ("input", "output", "name", "doc_string"):
        assert getattr(fused.graph, field) == getattr(given.graph, field)
    head = next(node for node in fused.graph.node if node.op_type == "Relu")
    assert (head.name, head.doc_string, list(head.input)) == ("the_head", "of the head", ["merged"])


def test_the_new_value_has_a_type_and_the_checker_passes():
    fused = fuse(documented()).model
    (node,) = (node for node in fused.graph.node if node.domain == DOMAIN)
    (info,) = (value for value in fused.graph.value_info if value.name == node.output[0] == "merged")
    assert info.type.tensor_type.elem_type == TensorProto.FLOAT
    assert len(info.type.tensor_type.shape.dim) == 4
    assert [entry.version for entry in fused.opset_import if entry.domain == DOMAIN] == [1]
    left = {name for node in fused.graph.node for name in node.output}
    assert {value.name for value in fused.graph.value_info} <= left  # nothing of the removed parts
    check_with_schemas(fused)


def test_unread_nodes_are_removed():
    fused = fuse(documented()).model
    operators = {node.op_type for node in fused.graph.node}
    assert {"RoiAlign", "ScatterND", "NonZero", "Log", "Neg"} & operators == set()
    read = {name for node in fused.graph.node for name in node.input} | {value.name for value in fused.graph.output}
    assert all(set(node.output) & read for node in fused.graph.node)
    assert all(tensor.name in read for tensor in fused.graph.initializer)


def test_a_model_of_over_2_gigabytes_is_read_by_its_path(tmp_path):
    """Its data stay where they are and are not read: 2.25 GB that occupy no space on the disk."""
    rows = 9 << 20
    model = pooler_exports.load("detectron2_3levels_1image_ts17")
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[rows, 64], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights"), ("offset", "0"), ("length", str(rows * 64 * 4))):
        table.external_data.add(key=key, value=value)
    model.graph.initializer.append(table)
    model.graph.node.append(helper.make_node("Gather", ["table", "row"], ["of_the_table"], axis=0))
    model.graph.input.append(helper.make_tensor_value_info("row", TensorProto.INT64, [1]))
    model.graph.output.append(helper.make_tensor_value_info("of_the_table", TensorProto.FLOAT, [1, 64]))
    with open(tmp_path / "weights", "wb") as file:
        file.truncate(rows * 64 * 4)
        file.seek((rows - 1) * 64 * 4)
        file.write(np.float32([7.0]).tobytes())
    onnx.save(model, tmp_path / "model.onnx")
    fused = fuse(tmp_path / "model.onnx")
    assert [part.fused for part in fused.report] == [True]
    assert fused.model.graph.initializer[-1] == table
    assert fused.model.ByteSize() < 100_000
    onnx.save(fused.model, tmp_path / "fused.onnx")
    feeds, want = next(pooler_exports.cases("detectron2_3levels_1image_ts17"))
    session = onnx_roialign.session(tmp_path / "fused.onnx")
    got, row = session.run(None, feeds | {"row": np.array([rows - 1])})
    np.testing.assert_allclose(got, want[0], rtol=0, atol=FUSED * np.abs(feeds["feat0"]).max())
    assert row[0, 0] == 7.0


# A source


@pytest.mark.parametrize("source", ["mmcv", "mmcv:aligned=True", onnx_roialign.PRESETS["mmcv_aligned"]])
@pytest.mark.parametrize("name", SHIFTED)
def test_with_a_source_a_pooler_returns_what_the_framework_returned(name, source):
    given = pooler_exports.load(name)
    (part,) = (fused := fuse(given, source)).report
    assert (part.fused, part.corrected) == (True, True)
    assert "it returns the source's results, which differ from the model's" in part.text
    differs = 0
    for feeds, want in pooler_exports.cases(name):
        bar = FUSED * max(np.abs(array).max(initial=0) for array in feeds.values() if array.ndim == 4)
        (got,) = run_all(fused.model, feeds)
        np.testing.assert_allclose(got, want[0], rtol=0, atol=bar)
        differs = max(differs, np.abs(got - run_all(given, feeds)[0]).max(initial=0))
    assert differs > 0.01  # the model itself returned something else


@pytest.mark.parametrize("name", SHIFTED)
def test_without_a_source_a_pooler_returns_what_the_model_returned(name):
    given = pooler_exports.load(name)
    (part,) = (fused := fuse(given)).report
    assert (part.fused, part.corrected) == (True, False)
    feeds, _ = next(pooler_exports.cases(name))
    bar = FUSED * max(np.abs(array).max(initial=0) for array in feeds.values() if array.ndim == 4)
    np.testing.assert_allclose(run_all(fused.model, feeds)[0], run_all(given, feeds)[0], rtol=0, atol=bar)


def test_with_a_source_detectron2s_lost_aligned_is_restored():
    given = pooler_exports.form("d2_L4_ts11")  # aligned=True in PyTorch
    assert "half_pixel" not in str(given)
    feeds = pooler_exports.drawn(given, 12)
    (part,) = (fused := fuse(given, "detectron2")).report
    assert (part.fused, part.corrected) == (True, True)
    got, want, lost = (run_all(model, feeds)[0] for model in (fused.model, repair(given, "detectron2"), given))
    np.testing.assert_allclose(got, want, rtol=0, atol=FUSED * 4)
    assert np.abs(got - lost).max() > 0.1


def test_a_source_that_the_model_agrees_with_changes_nothing():
    given = pooler_exports.load("detectron2_3levels_1image_ts17")
    fused = fuse(given, "detectron2")
    assert fused.model == fuse(given).model
    assert [part.corrected for part in fused.report] == [False]


def test_with_a_source_a_model_with_nothing_to_fuse_is_repaired():
    given = pooler_exports.form("d2_L1_ts20")
    fused = fuse(given, "torchvision")
    assert fused.report == ()
    assert fused.model == repair(given, "torchvision") != given


def test_an_unknown_source_is_refused():
    with pytest.raises(RoiAlignError, match=r"source must be one of torchvision, detectron2, .*, got 'caffe3'"):
        fuse(pooler_exports.load("detectron2_3levels_1image_ts17"), "caffe3")

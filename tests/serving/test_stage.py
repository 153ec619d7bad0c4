"""SessionStage: the rows of a batch have the outputs of a session, whatever their batch."""

from __future__ import annotations

import exports
import numpy as np
import pytest
from onnx import TensorProto, helper

import onnx_roialign
from models import model_of, value
from onnx_roialign import RoiAlignError
from onnx_roialign.serving import SessionSpec, SessionStage

DETECTOR = exports.load("detectors/mask_rcnn_tiny_torchscript_opset16.onnx")


def images(count):
    rng = np.random.default_rng(0)
    return np.stack([rng.random((3, 192, 256), dtype=np.float32) for _ in range(count)])


def doubling(shape, kind=TensorProto.FLOAT):
    return model_of(
        [helper.make_node("Add", ["x", "x"], ["y"])], [value("x", kind, shape)], [value("y", kind, shape)], 14
    )


def test_each_row_of_any_batch_has_the_outputs_of_a_session():
    spec = SessionSpec(DETECTOR.model, threads=1)
    session = onnx_roialign.session(DETECTOR.model)
    outputs = [output.name for output in session.get_outputs()]
    rows = images(5)
    ids = np.arange(5)
    for size in (1, 2, 5):
        stage = SessionStage(spec, columns={"image": "photo"})
        found = [stage({"photo": rows[at : at + size], "id": ids[at : at + size]}) for at in range(0, 5, size)]
        assert all(set(batch) == {"id", *outputs} for batch in found)
        assert np.concatenate([batch["id"] for batch in found]).tolist() == ids.tolist()
        for place, output in enumerate(outputs):
            got = [row for batch in found for row in batch[output]]
            assert all(batch[output].dtype == object for batch in found)  # boxes of different numbers
            for one, row in zip(got, rows, strict=True):
                np.testing.assert_array_equal(one, session.run(None, {"image": row})[place], strict=True)
    spec.close()


def test_outputs_of_one_shape_are_one_array_and_a_missing_dimension_is_one():
    stage = SessionStage(SessionSpec(doubling([1, 2, 3])))
    rows = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    np.testing.assert_array_equal(stage({"x": rows})["y"], 2 * rows[:, np.newaxis], strict=True)
    np.testing.assert_array_equal(stage({"x": rows[:, np.newaxis]})["y"], 2 * rows[:, np.newaxis], strict=True)
    assert len(stage({"x": rows[:0]})["y"]) == 0


def test_a_whole_batch_is_one_run():
    stage = SessionStage(SessionSpec(doubling(["N", 3])), whole=True)
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    for batch in (rows, [*rows], np.array([*rows, None], object)[:-1]):  # as Ray Data passes ragged rows
        np.testing.assert_array_equal(stage({"x": batch, "id": np.arange(4)})["y"], 2 * rows, strict=True)
    most = model_of(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[0])],
        [value("x", TensorProto.FLOAT, ["N", 3])],
        [value("y", TensorProto.FLOAT, [1, 3])],
        13,
    )
    stage = SessionStage(SessionSpec(most), whole=True)
    with pytest.raises(RoiAlignError, match=r"y must have a row for each of the batch's 2, got shape \(1, 3\)"):
        stage({"x": rows[:2]})


def test_chosen_outputs():
    stage = SessionStage(
        SessionSpec(DETECTOR.model), columns={next(iter(DETECTOR.feeds())): "image"}, outputs=["scores"]
    )
    assert list(stage({"image": images(1)})) == ["scores"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spec": "model.onnx"}, "spec must be a SessionSpec, got 'model.onnx'"),
        ({"columns": ["x"]}, r"columns must be a mapping from inputs to columns, got \['x'\]"),
        ({"columns": {"X": "x"}}, "columns must be of x, got 'X'"),
        ({"columns": {"x": 1}}, "columns must map to names of columns, got 1"),
        ({"outputs": "y"}, "outputs must be a list of names, got 'y'"),
        ({"outputs": ["z"]}, "outputs must be of y, got 'z'"),
        ({"whole": "no"}, "whole must be True or False, got 'no'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(RoiAlignError, match=f"^{message}"):
        SessionStage(**{"spec": SessionSpec(doubling([2])), **arguments})


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({}, "x must be a column of the batch, got none"),
        ({"z": np.ones(2)}, "x must be a column of the batch, got z"),
        ([1], r"batch must be a mapping from columns to arrays, got \[1\]"),
        ({"x": 1}, "x must be an array with a row per input, got 1"),
        ({"x": np.float32(1)}, "x must be an array with a row per input"),
        ({"x": np.ones((2, 2), np.float32), "y": np.ones(2)}, "y must not be an output and a column that is kept"),
    ],
)
def test_wrong_batches_are_refused(batch, message):
    with pytest.raises(RoiAlignError, match=f"^{message}"):
        SessionStage(SessionSpec(doubling([2])))(batch)


def test_columns_of_different_lengths_are_refused():
    given = model_of(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [value(name, TensorProto.FLOAT, [2]) for name in "ab"],
        [value("y", TensorProto.FLOAT, [2])],
        14,
    )
    rows = np.ones((3, 2), np.float32)
    with pytest.raises(RoiAlignError, match="b must have as many rows as a, 3, got 2"):
        SessionStage(SessionSpec(given))({"a": rows, "b": rows[:2]})


def test_16_bit_types_pass_through():
    stage = SessionStage(SessionSpec(doubling([2], TensorProto.FLOAT16)))
    rows = np.array([[1, 2], [3, 4]], np.float16)
    np.testing.assert_array_equal(stage({"x": rows})["y"], 2 * rows, strict=True)

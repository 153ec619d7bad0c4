"""Tests the errors of the library in a session: Python's words and the node's name, for attributes and arrays."""

from __future__ import annotations

import re

import numpy as np
import pytest
from calls import BATCH_INDICES, FEEDS, ROIS, X, expected
from closeness import assert_close
from onnx import TensorProto, helper
from quiet import ENGINES, bare_session, quiet_session, run

import onnx_roialign
from models import model, model_for, private_node
from onnx_roialign import RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.sessions.options import takes_omitted_inputs


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"mode": "median"}, "mode must be 'avg' or 'max', got 'median'"),
        ({"mode": 1}, "mode must be a string, got an integer"),
        ({"mode": ["avg"]}, "mode must be a string, got another type"),
        (
            {"coordinate_transformation_mode": "asymmetric"},
            "coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got 'asymmetric'",
        ),
        ({"coordinate_transformation_mode": 0.5}, "coordinate_transformation_mode must be a string, got a float"),
        ({"sampling_ratio": -1}, r"sampling_ratio must be in \[0, 16384\], got -1"),
        ({"sampling_ratio": 16385}, r"sampling_ratio must be in \[0, 16384\], got 16385"),
        ({"sampling_ratio": 2.0}, "sampling_ratio must be an integer, got a float"),
        ({"sampling_ratio": "2"}, "sampling_ratio must be an integer, got a string"),
        ({"sampling_ratio": [2, 2]}, "sampling_ratio must be an integer, got a list of integers"),
        ({"output_height": 0}, "output_height must be at least 1, got 0"),
        ({"output_width": -7}, "output_width must be at least 1, got -7"),
        ({"output_width": helper.make_tensor("t", TensorProto.INT64, [1], [7])}, "got another type"),
        ({"spatial_scale": 0.0}, "spatial_scale must be finite and > 0, got 0"),
        ({"spatial_scale": -0.5}, "spatial_scale must be finite and > 0, got -0.5"),
        ({"spatial_scale": float("nan")}, "spatial_scale must be finite and > 0, got nan"),
        ({"spatial_scale": float("inf")}, "spatial_scale must be finite and > 0, got inf"),
        ({"spatial_scale": 1}, "spatial_scale must be a float, got an integer"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_bad_attribute_is_refused_at_session_creation_with_the_nodes_name(attributes, text, engine):
    proto = model(16, **{name: value for name, value in attributes.items() if not isinstance(value, (float, int))})
    for attribute in [helper.make_attribute(*item) for item in attributes.items()]:
        kept = [a for a in proto.graph.node[0].attribute if a.name != attribute.name]
        del proto.graph.node[0].attribute[:]
        proto.graph.node[0].attribute.extend([*kept, attribute])
    with pytest.raises(Exception, match=text + r".*\(node 'pool'\)"):
        quiet_session(proto, engine)


BAD_FEEDS = [
    ({"X": X[0]}, r"X must have rank 4 \(N, C, H, W\), got shape \(5, 9, 11\)"),
    ({"rois": ROIS[:, :3]}, r"rois must have shape \(num_rois, 4\), got shape \(4, 3\)"),
    ({"rois": ROIS.ravel()}, r"rois must have shape \(num_rois, 4\), got shape \(16,\)"),
    ({"batch_indices": BATCH_INDICES[:, None]}, r"batch_indices must have shape \(num_rois,\), got shape \(4, 1\)"),
    ({"rois": ROIS[:3]}, "rois and batch_indices must have the same count, got 3 and 4"),
    ({"batch_indices": np.array([0, 1, 2, 0])}, r"batch_indices must be in \[0, 2\), got 2 at row 2"),
    ({"batch_indices": np.array([0, -1, 1, 0])}, r"batch_indices must be in \[0, 2\), got -1 at row 1"),
    ({"rois": np.where(ROIS == 17, np.nan, ROIS)}, r"rois must be finite, got nan at row 1, column 2 \(x2\)"),
    ({"rois": np.where(ROIS == 12.25, -np.inf, ROIS)}, r"rois must be finite, got -inf at row 1, column 3 \(y2\)"),
    ({"X": X[:, :, :0]}, r"X must have H and W of at least 1, got shape \(2, 5, 0, 11\)"),
]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a'b",
            'a"b',
            "a'\"b",
            "a\nb\tc\rd",
            "a    b ",
            "a\\b",
            "\x01\x7f",
            "x" * 61,
            "x" * 62,
            "x" * 63,
            "x" * 64,
        ),
        *("x" * 100_000, "\u00e9" * 62, "\u00e9" * 63, "\U0001f600" * 100, "'" * 63, '"' * 63, "'\"" * 31, "\n" * 32),
    ],
    ids=range(20),
)
def test_the_library_shows_a_text_as_python_does(text):
    with pytest.raises(RoiAlignError) as by_python:
        Attributes(mode=text)
    with pytest.raises(Exception, match=re.escape(f"{by_python.value} (node 'pool')")):
        bare_session(model(16, mode=text), 16)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("feeds", "text"), BAD_FEEDS)
def test_a_bad_array_is_refused_at_run_time_with_the_nodes_name(feeds, text, engine):
    session = quiet_session(model(), engine)
    with pytest.raises(Exception, match=text + r" \(node 'pool'\)"):
        run(session, FEEDS | feeds)
    assert_close(run(session), expected(16))  # the session is as good as before


@pytest.mark.parametrize("engine", ENGINES)
def test_a_coordinate_that_overflows_when_scaled_names_its_place(engine):
    session = quiet_session(model(spatial_scale=1e10), engine)
    with pytest.raises(
        Exception, match=r"rois must stay finite when scaled by 1e\+10, got 3.*e\+38 at row 1, column 2 \(x2\)"
    ):
        run(session, FEEDS | {"rois": np.where(ROIS == 17, np.float32(3e38), ROIS)})


@pytest.mark.parametrize("name", ["", "it's", 'a"b', 'it\'s "b"', "a\nb\t\r\x1b\x7f\\", "two  spaces", "größe " * 40])
def test_a_nodes_name_is_shown_in_the_same_words_by_every_check(name):
    """The errors before a session and at its start: the node's attributes, and the inputs of a run."""
    for attributes, feeds in (({"mode": "median"}, FEEDS), ({}, FEEDS | {"batch_indices": np.int64([5, 0, 0])})):
        given = model(16, **attributes)
        given.graph.node[0].name = name
        with pytest.raises(RoiAlignError) as refused:
            onnx_roialign.reference_evaluator(given).run(None, feeds)
        shown = name or given.graph.node[0].output[0]  # an unnamed node is known by its output
        assert str(refused.value).endswith(f"(node {shown!r})")
        with pytest.raises(Exception, match=re.escape(str(refused.value))):
            run(bare_session(given, 16), feeds)


def test_an_omitted_input_is_refused_where_onnxruntime_would_crash_on_it():
    feeds = {"rois": ROIS, "batch_indices": BATCH_INDICES, "X0": X, "X1": X[:, :, ::2, ::2]}
    shape = {"output_height": 3, "output_width": 2, "spatial_scales": [1.0, 0.5], "level_areas": [100.0]}
    names = ("rois", "batch_indices", "", "X0", "X1", "Y")
    proto = model_for(private_node(*names, op_type="MultiScaleRoiAlign", **shape), feeds, ("K", 5, 3, 2))
    if takes_omitted_inputs():
        assert run(bare_session(proto), feeds).shape == (4, 5, 3, 2)
        return
    with pytest.raises(Exception, match=r"Node \(pool\)'s input 2 is marked single but has an empty string"):
        bare_session(proto)

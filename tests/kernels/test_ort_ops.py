"""Tests RoiAlign inside onnxruntime sessions, compiled and as a Python op: values, shapes and threads."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tolerances
from calls import BATCH_INDICES, FEEDS, ROIS, X, expected
from closeness import assert_close
from installed_versions import OPSETS
from onnx import TensorProto, helper
from quiet import DOORS, ENGINES, quiet_options, quiet_session, run
from refusals import EARLY_BFLOAT16, EARLY_MODE, assert_provider_refuses

import onnx_roialign
from models import DTYPES, TYPES, cast_model, make_model, model, roi_align_node


def assert_units_apart(got, want):
    """At most SIXTEEN_BIT_ULP steps of the 16-bit type, counted over the sign too."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    bits = [array.view(np.int16).astype(int) for array in (got, want)]
    steps = [np.where(number < 0, -32768 - number, number) for number in bits]
    assert np.abs(steps[0] - steps[1]).max() <= tolerances.SIXTEEN_BIT_ULP


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("opset", OPSETS)
def test_a_session_returns_the_references_results_at_every_opset(opset, dtype, mode, engine):
    session = quiet_session(model(opset, element_type=TYPES[dtype], mode=mode), engine)
    feeds = {"X": X.astype(dtype), "rois": ROIS.astype(dtype), "batch_indices": BATCH_INDICES}
    got, want = run(session, feeds), expected(opset, dtype=dtype, mode=mode)
    (assert_units_apart if dtype == "float16" else assert_close)(got, want)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("opset", [opset for opset in OPSETS if opset >= 13])  # since then Cast knows bfloat16
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_a_session_carries_bfloat16_inside(opset, mode, engine):
    proto = cast_model(opset, TensorProto.BFLOAT16, mode=mode)
    if engine == "provider" and opset < 22:
        assert_provider_refuses(proto, EARLY_BFLOAT16)
        return
    got = run(quiet_session(proto, engine))
    assert_units_apart(got.astype(DTYPES["bfloat16"]), expected(opset, dtype=DTYPES["bfloat16"], mode=mode))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("coordinate_mode", ["half_pixel", "output_half_pixel"])
def test_a_written_coordinate_mode_holds_at_every_opset(opset, coordinate_mode, engine):
    proto = model(opset, coordinate_transformation_mode=coordinate_mode)
    if engine == "provider" and opset < 16:
        assert_provider_refuses(proto, EARLY_MODE)
        return
    assert_close(run(quiet_session(proto, engine)), expected(opset, coordinate_mode))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_long_name_of_onnxs_domain_is_the_same_domain(engine):
    proto = model(16)
    proto.graph.node[0].domain = proto.opset_import[0].domain = "ai.onnx"
    assert_close(run(quiet_session(proto, engine)), expected(16))


def test_the_coordinate_modes_differ_on_these_inputs():
    assert np.abs(expected(15) - expected(16)).max() > 0.1


# ---- shapes ----


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("X_shape", "rois_shape", "Y_shape"),
    [
        (("N", "C", "H", "W"), ("R", 4), ["R", "C", 3, 2]),
        ((1, 256, "H", "W"), (7, 4), [7, 256, 3, 2]),
        (("N", 256, None, None), ("R", 4), ["R", 256, 3, 2]),
    ],
    ids=["symbolic", "fixed", "mixed"],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_session_infers_the_shape_and_type_of_its_output(dtype, X_shape, rois_shape, Y_shape, engine):
    proto = make_model([roi_align_node()], 16, element_type=TYPES[dtype], shapes=(X_shape, rois_shape, ("R",)))
    (output,) = quiet_session(proto, engine).get_outputs()
    assert (output.shape, output.type) == (Y_shape, {"float32": "tensor(float)", "float16": "tensor(float16)"}[dtype])


def test_the_output_size_defaults_to_one_bin():
    proto = make_model([helper.make_node("RoiAlign", ["X", "rois", "batch_indices"], ["Y"])], 16)
    for door in DOORS:
        assert quiet_session(proto, door).get_outputs()[0].shape[2:] == [1, 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_unknown_dimension_stays_unknown(engine):
    """onnxruntime 1.20 folds the Shape of an output of size -1, and 1.31 ends the process."""
    nodes = [
        roi_align_node(),
        helper.make_node("Shape", ["Y"], ["shape"]),
        helper.make_node("Flatten", ["Y"], ["flat"], axis=2),
        helper.make_node("Slice", ["Y", "start", "end", "axes"], ["part"]),
    ]
    outputs = (("shape", TensorProto.INT64), ("flat", TensorProto.FLOAT), ("part", TensorProto.FLOAT))
    proto = make_model(nodes, 16, outputs=outputs, shapes=((None, None, None, None), (None, 4), (None,)))
    for name, number in (("start", 0), ("end", 2), ("axes", 0)):
        proto.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [number]))
    shape, flat, part = quiet_session(proto, engine).run(None, FEEDS)
    assert shape.tolist() == [4, 5, 3, 2]
    assert flat.shape == (20, 6)
    assert part.shape == (2, 5, 3, 2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("feeds", "shape"),
    [
        ({"rois": ROIS[:0], "batch_indices": BATCH_INDICES[:0]}, (0, 5, 3, 2)),
        ({"X": X[:, :0]}, (4, 0, 3, 2)),
        ({"X": X[:0], "rois": ROIS[:0], "batch_indices": BATCH_INDICES[:0]}, (0, 5, 3, 2)),
    ],
    ids=["no RoIs", "no channels", "no images"],
)
def test_empty_input_gives_an_empty_output(feeds, shape, engine):
    assert run(quiet_session(model(), engine), FEEDS | feeds).shape == shape


# ---- threads ----


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_the_number_of_threads_does_not_change_a_bit(mode):
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 60, (90, 2, 2)).astype(np.float32)
    rois = np.concatenate([corners.min(1), corners.max(1)], 1)
    feeds = {
        "X": rng.standard_normal((2, 33, 40, 48), dtype=np.float32),
        "rois": rois,
        "batch_indices": np.arange(90) % 2,
    }
    answers = []
    for threads, door in itertools.product((1, 2, 3, 8), DOORS):
        options = quiet_options()
        options.intra_op_num_threads = threads
        answers.append(run(onnx_roialign.session(model(mode=mode, sampling_ratio=0), options, door=door), feeds))
    assert len({answer.tobytes() for answer in answers}) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_one_session_serves_eight_threads_at_once(engine):
    session, want = quiet_session(model(), engine), expected(16)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: run(session), range(64)):
            assert_close(got, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_fifty_threads_with_batch_indices_out_of_range_each_get_their_own_error(engine):
    session = quiet_session(model(), engine)

    def refused(index):
        with pytest.raises(Exception, match=rf"got {index} at row 3 \(node 'pool'\)"):
            run(session, FEEDS | {"batch_indices": np.array([0, 1, 1, index])})

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(refused, range(2, 152)))
    assert_close(run(session), expected(16))

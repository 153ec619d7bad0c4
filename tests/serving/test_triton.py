"""Triton model repositories: every export, loaded as Triton loads it, returns the right results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import exports
import graph_models
import numpy as np
import onnx
import pytest
import triton_repository
from calls import FEEDS
from command_line import invoke
from found import source_of
from installed_versions import newest_opset
from onnx import TensorProto, helper
from quiet import run_all
from tolerances import EXPORTS

from models import make_model, model_of, qlinear_node, roi_align_node, value
from onnx_roialign import RoiAlignError, library_path
from onnx_roialign.arrays import largest_difference
from onnx_roialign.frameworks import torchvision
from onnx_roialign.graph import repair
from onnx_roialign.serving import deploy_triton

SHAPED = {"X": ["N", 5, "H", "W"], "rois": ["K", 4], "batch_indices": ["K"]}
SMALL = [name for name in exports.names() if not name.startswith("skeletons")]
# One of each exporter and meaning; the others are long.
SOME = (
    "torchvision_roi_align/torchscript_opset11_aligned_s2.onnx",
    "torchvision_roi_align/dynamo_opset22_legacy_s0.onnx",
    "paddle_roi_align/paddle2onnx_opset11_aligned_s2.onnx",
    "mindspore_ROIAlign/opset11_roi_end_mode1.onnx",
    "detectors/mask_rcnn_tiny_torchscript_opset22.onnx",
)


def shaped(opset=16, shapes=SHAPED, **attributes):
    return make_model([roi_align_node(**attributes)], opset, shapes=tuple(shapes[name] for name in FEEDS))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SOME else pytest.mark.long, id=name) for name in SMALL]
)
def test_every_export_deploys_and_returns_its_frameworks_outputs(name, tmp_path):
    """The files that are known to be wrong with their source, the others as they are."""
    export = exports.load(name)
    if export.opset() > newest_opset():
        with pytest.raises(RoiAlignError, match=r"model must load with the library alone, got .*opset"):
            deploy_triton(export.model, tmp_path, name="export")
        return
    source = source_of(name) if exports.known_wrong(name) else None
    written = deploy_triton(export.model, tmp_path, name="export", source=source)
    assert source is None or written.max_batch_size == 0
    config, session = triton_repository.loaded(written.folder)
    feeds = export.feeds()
    for tensor in config.input:
        assert feeds[tensor.name].dtype == triton_repository.DTYPES[triton_repository.type_name(tensor)]
    outputs = session.run(None, feeds)
    right = export.model if source is None else repair(export.model, source)
    for got, same, want in zip(outputs, run_all(right, feeds), export.expected, strict=True):
        np.testing.assert_array_equal(got, same, strict=True)
        assert largest_difference(got, want) <= EXPORTS


@pytest.mark.parametrize("opset", [16, pytest.param(22, marks=pytest.mark.long)])
def test_the_demos_detector_deploys(opset, tmp_path):
    path = exports.MODELS / f"shapes/mask_rcnn_torchscript_opset{opset}.onnx"
    if opset > newest_opset():
        return  # as the exports above
    written = deploy_triton(path, tmp_path)
    assert Path(written.folder).name == path.stem
    _, session = triton_repository.loaded(written.folder)
    feeds = {"image": np.random.default_rng(0).random((3, 192, 256), dtype=np.float32)}
    for got, want in zip(session.run(None, feeds), run_all(path, feeds), strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


def test_a_repository_has_what_triton_reads_and_nothing_else(tmp_path):
    written = deploy_triton(shaped(11), tmp_path / "repository", name="detector")
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    library = Path(library_path()).name
    assert files == {f"repository/detector/{name}" for name in ("config.pbtxt", "1/model.onnx", library)}
    config, session = triton_repository.loaded(written.folder)
    assert written.library == f"{tmp_path}/repository/detector/{library}"
    assert list(config.model_operations.op_library_filename) == [written.library]
    assert [(one.name, list(one.dims)) for one in config.input] == [
        ("X", [-1, 5, -1, -1]),
        ("rois", [-1, 4]),
        ("batch_indices", [-1]),
    ]
    assert [(one.name, list(one.dims)) for one in config.output] == [("Y", [-1, 5, 3, 2])]  # as onnxruntime infers it
    declared = onnx.load(f"{written.folder}/1/model.onnx").graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in declared] == [0, 5, 3, 2]  # for an onnxruntime that infers less
    assert [(one.kind, one.count) for one in config.instance_group] == [(config.instance_group[0].KIND_CPU, 1)]
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (0, False)
    assert "X begins with 'N' and rois with 'K'" in written.batching
    np.testing.assert_array_equal(session.run(None, FEEDS)[0], run_all(shaped(11), FEEDS)[0])


def test_the_library_is_named_as_the_server_sees_it(tmp_path):
    written = deploy_triton(shaped(), tmp_path, name="m", served_at="/models/")
    assert written.library == f"/models/m/{Path(library_path()).name}"
    assert f'op_library_filename: "{written.library}"' in written.config


def test_versions_and_other_models_are_kept(tmp_path):
    first = deploy_triton(shaped(), tmp_path, name="one")
    before = (tmp_path / "one/1/model.onnx").read_bytes()
    second = deploy_triton(shaped(sampling_ratio=3), tmp_path, name="one", version=2)
    deploy_triton(shaped(11), tmp_path, name="other")
    assert first.config == second.config
    assert (tmp_path / "one/1/model.onnx").read_bytes() == before
    for version, ratio in ((1, 2), (2, 3)):
        _, session = triton_repository.loaded(tmp_path / "one", version)
        np.testing.assert_array_equal(
            session.run(None, FEEDS)[0], run_all(shaped(sampling_ratio=ratio), FEEDS)[0], strict=True
        )
    triton_repository.loaded(tmp_path / "other")


def test_a_config_that_was_tuned_by_hand_is_kept(tmp_path):
    first = deploy_triton(shaped(), tmp_path, name="m")
    tuned = (
        first.config.replace("count: 1", "count: 4")
        + 'parameters { key: "intra_op_thread_count" value { string_value: "2" } }\n'
    )
    (tmp_path / "m/config.pbtxt").write_text(tuned)
    second = deploy_triton(shaped(sampling_ratio=3), tmp_path, name="m", version=2)
    assert second.config == tuned == (tmp_path / "m/config.pbtxt").read_text()
    assert (second.max_batch_size, second.batching) == (0, "the config of the other versions is kept")
    config, _ = triton_repository.loaded(tmp_path / "m", 2)
    assert config.instance_group[0].count == 4


def test_a_version_that_needs_another_config_is_refused(tmp_path):
    deploy_triton(shaped(), tmp_path, name="m")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RoiAlignError, match=r"version must fit '.*config.pbtxt', .*; pass another name"):
        deploy_triton(shaped(output_height=4), tmp_path, name="m", version=2)
    with pytest.raises(RoiAlignError, match=r"version must not exist yet, got 1, which '.*m' has; pass another one"):
        deploy_triton(shaped(), tmp_path, name="m")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not list((tmp_path / "m").glob(".*"))


def batched(nodes, inputs, outputs=(("Y", ["N", 5]),), **more):
    return model_of(
        nodes,
        [value(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [value(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        **more,
    )


def test_requests_are_joined_where_all_begin_with_one_dimension(tmp_path):
    """RoIs of each image, pooled from its own map: the rows of one batch do not know each other."""
    given = batched(
        [
            helper.make_node("Shape", ["X"], ["count"], end=1),
            helper.make_node("Squeeze", ["count"], ["images"]),
            graph_models.constant("zero", 0, np.int64),
            graph_models.constant("one", 1, np.int64),
            helper.make_node("Range", ["zero", "images", "one"], ["indices"]),
            roi_align_node("X", "rois", "indices", "Y"),
            helper.make_node("Neg", ["flags"], ["Z"]),
        ],
        [("X", ["N", 5, 9, 11]), ("rois", ["N", 4]), ("flags", ["N"])],
        [("Y", None), ("Z", None)],
    )
    written = deploy_triton(given, tmp_path, name="m")
    config, _ = triton_repository.loaded(written.folder)
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (8, True)
    assert written.batching.startswith("requests are joined along 'N'")
    tensors = {one.name: one for one in (*config.input, *config.output)}
    assert {name: list(one.dims) for name, one in tensors.items()} == {
        "X": [5, 9, 11],
        "rois": [4],
        "flags": [1],
        "Y": [5, 3, 2],
        "Z": [1],
    }
    assert {name for name, one in tensors.items() if one.HasField("reshape")} == {"flags", "Z"}
    assert deploy_triton(given, tmp_path, name="one", max_batch_size=0).max_batch_size == 0
    assert deploy_triton(given, tmp_path, name="many", max_batch_size=64).max_batch_size == 64


MIXED = {
    "indices of images that are an input": lambda: shaped(
        shapes={"X": ["N", 5, 9, 11], "rois": ["N", 4], "batch_indices": ["N"]}
    ),
    "a maximum over the batch": lambda: batched(
        [
            helper.make_node("ReduceMax", ["X"], ["most"], axes=[0], keepdims=1),
            helper.make_node("Div", ["X", "most"], ["Y"]),
        ],
        [("X", ["N", 5])],
        opset=13,
    ),
    "rows in another order": lambda: batched(
        [
            graph_models.constant("axes", np.array([0]), np.int64),
            graph_models.constant("start", np.array([-1]), np.int64),
            graph_models.constant("end", np.array([-(2**62)]), np.int64),
            helper.make_node("Slice", ["X", "start", "end", "axes", "start"], ["Y"]),
        ],
        [("X", ["N", 5])],
    ),
}


@pytest.mark.parametrize("kind", MIXED)
def test_requests_that_one_batch_would_mix_are_not_joined(kind, tmp_path):
    written = deploy_triton(MIXED[kind](), tmp_path, name="m")
    assert written.max_batch_size == 0
    assert written.batching == "requests are not joined: Y of two requests in one batch differs from theirs apart"
    with pytest.raises(RoiAlignError, match="max_batch_size must be 0 for this model, got 4: Y of two requests"):
        deploy_triton(MIXED[kind](), tmp_path, name="n", max_batch_size=4)


def test_a_number_of_rois_is_no_batch(tmp_path):
    """A limit on the requests in a batch would limit the RoIs of one request."""
    given = shaped()
    given.graph.initializer.append(onnx.numpy_helper.from_array(FEEDS["X"], "X"))
    del given.graph.input[0]
    written = deploy_triton(given, tmp_path, name="m")
    assert written.max_batch_size == 0
    assert written.batching == "requests are not joined: rois begins with 'K', the number of RoIs"


def test_what_was_not_tested_is_joined_only_when_asked(tmp_path):
    given = model_of(
        [helper.make_node("Identity", ["X"], ["Y"])],
        [value("X", TensorProto.STRING, ["N", 2])],
        [value("Y", TensorProto.STRING, ["N", 2])],
    )
    written = deploy_triton(given, tmp_path, name="m")
    assert written.max_batch_size == 0
    assert "because that was not tested: no inputs can be generated: X must be a tensor of numbers" in written.batching
    assert "not tested" in deploy_triton(given, tmp_path, name="n", max_batch_size=4).batching
    config, _ = triton_repository.loaded(tmp_path / "n")
    assert [triton_repository.type_name(one) for one in (*config.input, *config.output)] == ["TYPE_STRING"] * 2


REFUSED_BATCHES = [
    ({"X": [1, 5, "H", "W"]}, "X begins with 1"),
    ({"X": [None, 5, "H", "W"], "rois": [None, 4]}, "X begins with a dimension without a name"),
    ({}, "X begins with 'N' and rois with 'K'"),
]


@pytest.mark.parametrize(("shapes", "reason"), REFUSED_BATCHES)
def test_a_batch_that_the_dimensions_do_not_have_is_refused(shapes, reason, tmp_path):
    with pytest.raises(RoiAlignError, match=f"max_batch_size must be 0 for this model, got 4: {reason}"):
        deploy_triton(shaped(shapes=SHAPED | shapes), tmp_path / "repository", name="m", max_batch_size=4)
    assert list(tmp_path.iterdir()) == []


def test_scalars_unnamed_dimensions_and_names_of_any_text(tmp_path):
    name = 'roi_heads/"Y"\\:0\n\N{GREEK SMALL LETTER ALPHA}'
    given = model_of(
        [helper.make_node("Mul", ["X", "scale"], [name]), helper.make_node("Neg", ["scale"], ["scalar"])],
        [value("X", TensorProto.DOUBLE, [None, 2, None]), value("scale", TensorProto.DOUBLE, [])],
        [value(name, TensorProto.DOUBLE), value("scalar", TensorProto.DOUBLE)],
    )
    config, _ = triton_repository.loaded(deploy_triton(given, tmp_path, name="m").folder)
    assert [(one.name, list(one.dims)) for one in (*config.input, *config.output)] == [
        ("X", [-1, 2, -1]),
        ("scale", [1]),
        (name, [-1, 2, -1]),
        ("scalar", [1]),
    ]


@pytest.mark.parametrize("opset", [10, 13, 16, 21])
def test_functions_at_another_opset_and_quantized_ops_deploy(opset, tmp_path):
    given = graph_models.in_function(max(opset, 16), function_opset=opset)
    for tensor in (*given.graph.input, *given.graph.output):
        tensor.type.CopyFrom(
            helper.make_tensor_type_proto(tensor.type.tensor_type.elem_type, SHAPED.get(tensor.name, ["K", 5, 3, 2]))
        )
    _, session = triton_repository.loaded(deploy_triton(given, tmp_path, name="m").folder)
    np.testing.assert_array_equal(session.run(None, FEEDS)[0], run_all(given, FEEDS)[0], strict=True)


def test_a_pooler_deploys_with_its_levels_as_an_input(tmp_path):
    """A server's onnxruntime may be older than 1.24, which crashes on a custom op without an optional input."""
    rng = np.random.default_rng(0)
    maps = {str(level): rng.random((1, 2, 64 >> level, 64 >> level), dtype=np.float32) for level in range(2)}
    given = torchvision.MultiScaleRoIAlign(["0", "1"], 2, 2).to_onnx(
        feature_shapes={name: array.shape for name, array in maps.items()}, image_shapes=[(256, 256)]
    )
    (pooler,) = (node for node in given.graph.node if node.op_type == "MultiScaleRoiAlign")
    assert "" in pooler.input
    written = deploy_triton(given, tmp_path, name="m")
    model = onnx.load(Path(written.folder) / "1/model.onnx")
    assert all(all(node.input) for node in model.graph.node)
    _, session = triton_repository.loaded(written.folder)
    feeds = {**maps, "boxes_0": rng.uniform(0, 256, (9, 4)).astype(np.float32)}
    np.testing.assert_array_equal(session.run(None, feeds)[0], run_all(given, feeds)[0], strict=True)


def test_external_data_is_copied_to_the_version(tmp_path):
    given = graph_models.network(0.25)
    (tmp_path / "from/weights").mkdir(parents=True)
    path = tmp_path / "from/net.onnx"
    onnx.save_model(given, path, save_as_external_data=True, location="weights/all.bin", size_threshold=0)
    before = path.read_bytes()
    written = deploy_triton(path, tmp_path / "to")
    assert Path(written.folder) == tmp_path / "to/net"
    assert path.read_bytes() == before
    (tmp_path / "from/weights/all.bin").rename(tmp_path / "moved")
    _, session = triton_repository.loaded(written.folder)
    (tmp_path / "moved").rename(tmp_path / "from/weights/all.bin")
    feeds = {"image": np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)}
    feeds |= {"rois": FEEDS["rois"], "batch_indices": np.zeros(4, np.int64)}
    np.testing.assert_array_equal(session.run(None, feeds)[0], run_all(path, feeds)[0])


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("gone", "model must have its external data beside it, got no file 'gone'"),
        ("../weights", "model must have its external data below its folder and not in model.onnx, got '../weights'"),
        ("/weights", "model must have its external data below its folder"),
        ("model.onnx", "model must have its external data below its folder and not in model.onnx, got 'model.onnx'"),
        ("short", "model must have the data of its weights, got none for 'w'"),
    ],
)
def test_external_data_that_cannot_be_copied_is_refused(location, message, tmp_path):
    given = shaped()
    given.graph.node.add(op_type="Identity", input=["w"], output=["copy"])
    tensor = given.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = tmp_path / "from/model.onnx"
    path.parent.mkdir()
    path.write_bytes(given.SerializeToString())
    (tmp_path / "from/short").write_bytes(b"1234")
    (tmp_path / "weights").write_bytes(bytes(16))
    with pytest.raises(RoiAlignError, match=message):
        deploy_triton(path, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    with pytest.raises(RoiAlignError, match="model must be a path where its external data lies beside it"):
        deploy_triton(given, tmp_path / "to", name="m")


@pytest.mark.long
def test_weights_beside_the_model_are_not_read_into_this_process(tmp_path):
    given = shaped(11)
    given.graph.node.add(op_type="Size", input=["large"], output=["size"])
    given.graph.output.append(value("size", TensorProto.INT64, []))
    large = given.graph.initializer.add(name="large", data_type=TensorProto.FLOAT, dims=[1 << 27])
    large.data_location = TensorProto.EXTERNAL
    large.external_data.add(key="location", value="weights")
    (tmp_path / "weights").touch()
    os.truncate(tmp_path / "weights", 1 << 29)  # a sparse file
    (tmp_path / "model.onnx").write_bytes(given.SerializeToString())
    code = (
        "import resource, sys; from onnx_roialign.serving import deploy_triton; "
        "print(deploy_triton(sys.argv[1], sys.argv[2]).folder); "
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 19"  # KiB
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.onnx"), str(tmp_path / "to")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    _, session = triton_repository.loaded(done.stdout.strip())
    assert session.run(["size"], FEEDS)[0] == 1 << 27


def sequence_model():
    return model_of(
        [helper.make_node("SequenceConstruct", ["X"], ["Y"])],
        [value("X", TensorProto.FLOAT, [2])],
        [helper.make_tensor_sequence_value_info("Y", TensorProto.FLOAT, [2])],
    )


def typed_model(kind, shape=(2,)):
    return model_of([helper.make_node("Identity", ["X"], ["Y"])], [value("X", kind, shape)], [value("Y", kind, shape)])


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        (sequence_model, {}, r"Y must be a tensor for Triton, got seq\(tensor\(float\)\)"),
        (
            lambda: typed_model(TensorProto.BFLOAT16),
            {},
            r"X must be of a type that Triton's ONNX Runtime backend has, got tensor\(bfloat16\); cast it in the model",
        ),
        (
            lambda: typed_model(TensorProto.FLOAT, None),
            {},
            "X must have a known number of dimensions for Triton, got none",
        ),
        (
            lambda: typed_model(TensorProto.FLOAT, [0, 2]),
            {},
            r"X must have no dimension of size 0 for Triton, got shape \(0, 2\)",
        ),
        (
            lambda: model_of([graph_models.constant("Y", 1.0)], [], [value("Y", TensorProto.FLOAT, [])]),
            {},
            "model must have an input for Triton, got a model without any",
        ),
        (
            lambda: model_of([helper.make_node("NoSuchOp", ["X"], ["Y"])], [value("X", 1, [2])], [value("Y", 1, [2])]),
            {},
            "model must load with the library alone, got .*NoSuchOp",
        ),
        (shaped, {"name": None}, "name must be given for a model without a path, got None"),
        (shaped, {"name": "a/b"}, r"name must be at most 200 letters, digits, '_', '\.' and '-' .*, got 'a/b'"),
        (shaped, {"name": "../m"}, "name must be at most 200"),
        (shaped, {"name": ""}, "name must be at most 200"),
        (shaped, {"version": 0}, r"version must be in \[1, 2147483647\], got 0"),
        (shaped, {"version": "1"}, "version must be an integer, got a str"),
        (shaped, {"max_batch_size": -1}, r"max_batch_size must be in \[0, 2147483647\], got -1"),
        (shaped, {"served_at": "models"}, "served_at must be an absolute path on the server, got 'models'"),
        (shaped, {"source": "tensorflow"}, "source must be"),
        (lambda: b"no model", {}, "model must be an ONNX model, got 8 bytes"),
    ],
)
def test_what_triton_cannot_have_is_refused_in_one_line(given, arguments, message, tmp_path):
    with pytest.raises(RoiAlignError, match=f"^{message}") as raised:
        deploy_triton(given(), tmp_path / "new/repository", **{"name": "m", **arguments})
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_repository_that_is_no_folder_is_refused(tmp_path):
    for path in (3, None, b"folder", "", "a\0b"):
        with pytest.raises(RoiAlignError, match=r"^repository must be a path, got "):
            deploy_triton(shaped(), path, name="m")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(RoiAlignError, match=f"repository must be a folder.*, got '{path}'"):
            deploy_triton(shaped(), path, name="m")


def test_the_command_writes_the_same_and_says_where(tmp_path):
    onnx.save(shaped(11), tmp_path / "detector.onnx")
    result = invoke("deploy", tmp_path / "detector.onnx", "--triton", tmp_path / "to", "--served-at", "/models")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"Written: {tmp_path}/to/detector, version 1",
        f"The server loads the library from /models/detector/{Path(library_path()).name}",
        "max_batch_size 0: requests are not joined: X begins with 'N' and rois with 'K'",
    ]
    again = invoke("deploy", tmp_path / "detector.onnx", "--triton", tmp_path / "to", "--model-version", 2, "--json")
    assert again.exit_code == 2  # the library's path is another one
    assert "--model-version must fit" in again.stderr
    result = invoke(
        "deploy", tmp_path / "detector.onnx", "--triton", tmp_path / "to", "--name", "b", "--json",
        "--source", "torchvision:aligned=True",
    )  # fmt: skip
    document = json.loads(result.stdout)
    assert document["folder"] == f"{tmp_path}/to/b"
    assert document["source"] == "torchvision:aligned=True"
    _, session = triton_repository.loaded(document["folder"])
    right = repair(shaped(11), "torchvision:aligned=True")
    np.testing.assert_array_equal(session.run(None, FEEDS)[0], run_all(right, FEEDS)[0])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--name", "a/b"), 2, "--name must be at most 200"),
        (("--model-version", "0"), 2, r"--model-version must be in"),
        (("--max-batch-size", "4"), 2, "--max-batch-size must be 0 for this model, got 4"),
        (("--source", "nobody"), 2, "--source must be"),
    ],
)
def test_the_command_names_its_options(options, code, message, tmp_path):
    onnx.save(shaped(), tmp_path / "m.onnx")
    result = invoke("deploy", tmp_path / "m.onnx", "--triton", tmp_path / "to", *options)
    assert result.exit_code == code
    assert result.stderr.startswith(f"onnx-roialign: {message}")
    assert not (tmp_path / "to").exists()


def test_an_error_of_the_model_is_not_one_of_the_options(tmp_path):
    given = typed_model(TensorProto.BFLOAT16)
    given.graph.input[0].name = given.graph.node[0].input[0] = "source"
    wrong = shaped(mode="median")
    for model, message in ((given, "source must be of a type that Triton's"), (wrong, "mode must be 'avg' or 'max'")):
        onnx.save(model, tmp_path / "m.onnx")
        result = invoke("deploy", tmp_path / "m.onnx", "--triton", tmp_path / "to")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"onnx-roialign: {message}")


def test_a_model_without_roi_aligns_and_a_quantized_one_deploy(tmp_path):
    triton_repository.loaded(deploy_triton(typed_model(TensorProto.FLOAT), tmp_path, name="none").folder)
    kinds = {"X": TensorProto.UINT8, "x_scale": 1, "x_zero_point": TensorProto.UINT8, "rois": 1, "batch_indices": 7}
    shapes = {"X": ["N", 5, 9, 11], "x_scale": [], "x_zero_point": [], "rois": ["K", 4], "batch_indices": ["K"]}
    given = model_of(
        [qlinear_node(output_height=2, output_width=2, sampling_ratio=2, spatial_scale=0.5)],
        [value(name, kind, shapes[name]) for name, kind in kinds.items()],
        [value("Y", TensorProto.UINT8)],
        domains=("onnx_roialign",),
    )
    config, _ = triton_repository.loaded(deploy_triton(given, tmp_path, name="quantized").folder)
    assert [(one.name, list(one.dims)) for one in config.input][1:3] == [("x_scale", [1]), ("x_zero_point", [1])]

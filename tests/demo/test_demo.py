"""Tests the demo: its table and lines, its detections, its picture, and that PyTorch ran on the same image."""

from __future__ import annotations

import hashlib
import io
import re

import exports
import json_documents
import numpy as np
import onnx
import pytest
import tolerances
from matplotlib.image import imread
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from onnx_roialign.bench.narrow import fitted
from onnx_roialign.cli.main import app
from onnx_roialign.cli.output import document
from onnx_roialign.demo import drawing, runs
from onnx_roialign.demo import mask_rcnn as demo
from onnx_roialign.demo.scene import GOOD, MASK_STEP, demo_scene, found
from onnx_roialign.engines.native import roi_align
from onnx_roialign.graph import fuse
from onnx_roialign.sessions.installed import has_builtin_kernel, loads_opset
from onnx_roialign.sessions.trial import try_engine

WAYS = [way for way, _, _ in runs.WAYS]
LOADED = [opset for opset in demo.OPSETS if loads_opset(opset)]
COLUMNS = ("loads", "boxes", "labels", "scores", "masks", "RoiAlign", "end to end", "faster")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "made" / "by the demo"
    records = []
    run_demo = demo.run_demo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "run_demo", lambda *given: records.append(run_demo(*given)) or records[0])
        result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["demo", "--output", str(folder)])
    assert result.exit_code == 0, result.stderr
    return result.stdout, folder, records[0]


@pytest.fixture(scope="module")
def fused():
    return fuse(demo.mask_rcnn(16)).model


@pytest.fixture(scope="module")
def pooler(fused):
    return drawing.run_mask_pooler(fused, demo_scene().image)


def rows(text):
    """The table's rows as (opset, engine) -> cells by column."""
    cells = {}
    for line in text.splitlines():
        if match := re.fullmatch(rf" *(\d\d) +({'|'.join(WAYS)}) +(.*?) *", line):
            cells[int(match[1]), match[2]] = dict(zip(COLUMNS, match[3].split(), strict=True))
    return cells


def in_one_line(text):
    return " ".join(text.split())


def test_the_scene_is_the_recorded_one_bit_for_bit():
    with np.load(exports.MODELS / "shapes" / "mask_rcnn.npz") as recorded:
        assert str(recorded["image_sha256"]) == hashlib.sha256(demo_scene().image.tobytes()).hexdigest()


def test_it_prints_a_row_per_opset_and_engine(ran):
    assert set(rows(ran[0])) == {(opset, way) for opset in demo.OPSETS for way in WAYS}


def test_the_record_for_json_has_the_tables_numbers(ran):
    json_documents.check("demo", document("demo", ran[2]))
    assert [(run["opset"], run["engine"]) for run in ran[2]["runs"]] == [(o, way) for o in demo.OPSETS for way in WAYS]
    for run in ran[2]["runs"]:
        row = rows(ran[0])[run["opset"], run["engine"]]
        assert (row["loads"] == "yes") == (run["refusal"] is None)
        if run["median_ms"] is not None:
            assert float(row["end to end"]) == pytest.approx(run["median_ms"], rel=0.01)
            assert run["q1_ms"] <= run["median_ms"] <= run["q3_ms"]


def test_on_a_narrow_terminal_the_table_is_in_parts(ran):
    console = Console(width=60, record=True, file=io.StringIO())
    table = Table(title="title")
    for name in ("opset", "engine", *COLUMNS):
        table.add_column(name, no_wrap=True)
    for (opset, way), row in rows(ran[0]).items():
        table.add_row(str(opset), way, *row.values())
    parts = list(fitted(console, table, keys=2))
    assert len(parts) > 1
    for part in parts:
        console.print(part)
    said = console.export_text()
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= 60
    assert [column.header for part in parts for column in part.columns[2:]] == list(COLUMNS)
    assert all([column.header for column in part.columns[:2]] == ["opset", "engine"] for part in parts)
    assert said.count(" optimized ") == len(parts) * len(demo.OPSETS)


@pytest.mark.parametrize("opset", LOADED)
@pytest.mark.parametrize("way", ["native", "optimized", "reference"])
def test_our_engines_return_what_pytorch_returned(ran, opset, way):
    row = rows(ran[0])[opset, way]
    assert row["loads"] == "yes"
    assert float(row["labels"]) == 0
    assert max(float(row[name]) for name in ("boxes", "scores", "masks")) <= tolerances.SHAPES
    assert float(row["RoiAlign"]) > 0


@pytest.mark.parametrize("opset", LOADED)
@pytest.mark.parametrize("way", ["native", "optimized"])
def test_times_are_compared_with_the_builtin_kernel_where_it_loads(ran, opset, way):
    found_rows = rows(ran[0])
    baseline = float(found_rows[16, "builtin"]["end to end"])
    assert found_rows[16, "builtin"]["faster"] == "1.00x"
    row = found_rows[opset, way]
    assert float(row["faster"].removesuffix("x")) == pytest.approx(baseline / float(row["end to end"]), rel=0.03)


def test_the_builtin_kernel_loads_where_onnxruntime_has_one_and_else_the_reason_is_printed(ran):
    text = in_one_line(ran[0])
    for opset in demo.OPSETS:
        loads = has_builtin_kernel(opset)
        assert rows(ran[0])[opset, "builtin"]["loads"] == ("yes" if loads else "no")
        assert (f"opset {opset}, builtin: does not load: [ONNXRuntimeError]" in text) != loads
    assert has_builtin_kernel(16)


@pytest.mark.skipif(loads_opset(22), reason="needs an onnxruntime without opset 22, as CI has it")
def test_an_onnxruntime_without_opset_22_is_said_to_be_too_old_for_it(ran):
    text = in_one_line(ran[0])
    for engine in ("native", "reference"):
        assert f"opset 22, {engine}: does not load: model must be of opset 21 at most for onnxruntime 1." in text


@pytest.mark.parametrize("opset", LOADED)
def test_it_says_what_optimize_changed(ran, opset):
    line = re.search(
        rf"opset {opset}, optimize: (\d+) nodes -> (\d+) "
        r"\(poolers: 2 MultiScaleRoiAlign; mask pasting: 1 PasteMasks\); "
        r"([\d.]+)x as fast end to end as builtin; outputs equal to those before within (\S+)",
        in_one_line(ran[0]),
    )
    assert line
    before, after, ratio, apart = line.groups()
    assert int(before) - int(after) > 300
    assert f"{ratio}x" == rows(ran[0])[opset, "optimized"]["faster"]
    assert float(apart) <= tolerances.SHAPES


def test_every_shape_is_found_and_nothing_else(ran, pooler):
    """By the picture's own detections: the class is right and the masks overlap."""
    scene = demo_scene()
    shapes, detections = found(scene, pooler.outputs["labels"], pooler.outputs["masks"])
    assert shapes.min() >= GOOD
    assert detections.min() >= GOOD
    assert f"{len(shapes)} of {len(shapes)} shapes found with their class and mask" in in_one_line(ran[0])
    # No score is so close to the detector's threshold of 0.5 that another machine's rounding moves it across.
    assert np.abs(pooler.outputs["scores"] - 0.5).min() > 0.02


def test_optimized_outputs_are_those_before(pooler):
    before = try_engine(demo.mask_rcnn(16), {"image": demo_scene().image}, "native").outputs
    for name, want in before.items():
        assert runs.difference(pooler.outputs[name], want) <= tolerances.SHAPES
    assert np.array_equal(before["labels"], pooler.outputs["labels"])


def test_the_recorded_masks_are_every_fourth_row_and_column(pooler):
    want = demo.expected_outputs()["masks"]
    got = pooler.outputs["masks"]
    assert want.shape == (len(got), 1, got.shape[2] // MASK_STEP, got.shape[3] // MASK_STEP)
    assert np.abs(got[:, :, 1::MASK_STEP, 1::MASK_STEP] - want).max() > 0.1, "another phase is another image"


def test_the_shown_roi_is_sampled_where_the_kernel_samples(pooler):
    """The shown channel, interpolated by hand at the drawn points and averaged, is the mask pooler's output."""
    for index in range(len(pooler.rois)):
        sampled = drawing.sampled_roi(pooler, index)
        y, x = np.meshgrid(sampled.y, sampled.x, indexing="ij")
        rows_, columns = sampled.bins
        at = np.pad(sampled.feature, ((0, 2), (0, 2)), mode="edge")
        y, x = (np.clip(a, 0, length - 1) for a, length in zip((y, x), sampled.feature.shape, strict=True))
        low_y, low_x = np.floor(y).astype(int), np.floor(x).astype(int)
        fy, fx = y - low_y, x - low_x
        values = (1 - fy) * ((1 - fx) * at[low_y, low_x] + fx * at[low_y, low_x + 1])
        values += fy * ((1 - fx) * at[low_y + 1, low_x] + fx * at[low_y + 1, low_x + 1])
        means = values.reshape(rows_, y.shape[0] // rows_, columns, x.shape[1] // columns).mean((1, 3))
        np.testing.assert_allclose(means, pooler.pooled[index, sampled.channel], atol=1e-5 * np.abs(at).max())
        assert (sampled.y.size, sampled.x.size) == (28, 28)


def test_every_level_of_the_pyramid_is_pooled_from(pooler):
    assert set(pooler.levels) == {0, 1, 2}
    for index, level in enumerate(pooler.levels):
        attributes = pooler.pyramid.at(level)
        pooled = roi_align(pooler.features[level], pooler.rois[index : index + 1], np.zeros(1, np.int64), attributes)
        np.testing.assert_allclose(pooler.pooled[index], pooled[0], atol=1e-5 * np.abs(pooled).max())


def test_a_pooler_whose_levels_are_an_input_is_drawn_from_them(fused, pooler):
    """The model after `fuse` if no rule determines the levels."""
    model = onnx.ModelProto()
    model.CopyFrom(fused)
    (node,) = (n for n in model.graph.node if any(a.name == "output_height" and a.i == 14 for a in n.attribute))
    others = onnx.numpy_helper.from_array(pooler.levels[::-1].astype(np.int64), "other_levels")
    model.graph.initializer.append(others)
    node.input[2] = others.name
    got = drawing.run_mask_pooler(model, demo_scene().image)
    assert np.array_equal(got.levels, pooler.levels[::-1])
    index = int(np.flatnonzero(got.levels != pooler.levels)[0])
    assert drawing.sampled_roi(got, index).level == got.levels[index]


def test_the_picture_has_all_panels_with_their_colours(ran):
    text, folder, _ = ran
    path = folder / demo.PICTURE
    assert str(path) in text.replace("\n", "")
    pixels = imread(path)[:, :, :3]
    height, width, _ = pixels.shape
    assert (width, height) == (1950, 1215)
    above, below = pixels[: height * 2 // 3], pixels[height * 3 // 4 :]
    scene, samples = above[:, : width * 11 // 20], above[:, width * 3 // 5 :]
    blue, red, amber = ((21, 101, 192), (216, 27, 96), (255, 179, 0))
    for colour in (blue, red, amber):
        assert count(scene, colour) > 1000, "the masks' outlines, a colour for each class"
    assert count(samples, red) > 1000, "the RoI, its bins and its mask"
    assert count(samples, amber) > 1000, "its sampling points"
    assert count(samples, blue) == 0
    for opset, half in ((16, below[:, : width // 2]), (22, below[:, width // 2 :])):
        for colour in ((111, 177, 240), (13, 71, 161)):  # the bars before and after optimize
            assert (count(half, colour) > 3000) == (opset in LOADED)
    assert count(below[:, : width // 2], (195, 201, 212)) > 3000, "ONNX Runtime's bar"


def count(pixels, colour):
    return int(np.count_nonzero(np.all(np.abs(pixels * 255 - colour) < 12, axis=2)))


def test_a_package_without_its_models_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "files", lambda package: tmp_path)
    with pytest.raises(demo.RoiAlignError, match="the demo's models must be installed with the package"):
        demo.run_demo(tmp_path, Console(quiet=True))


def test_a_model_that_was_not_fused_is_no_model_for_the_picture():
    with pytest.raises(
        demo.RoiAlignError, match="model must have a MultiScaleRoiAlign, got none: fuse did not change it"
    ):
        drawing.run_mask_pooler(demo.mask_rcnn(16), demo_scene().image)


def test_an_engine_that_fails_is_a_row_and_not_an_exception():
    trial = try_engine(demo.mask_rcnn(16), {"image": np.zeros((1, 3, 64, 64), np.float32)}, "builtin")
    assert trial.refusal is not None
    assert trial.refusal.startswith("loads, but does not run: ")
    assert "\n" not in trial.refusal

"""The demo: its table, its picture, and that the image it makes is the one that PyTorch answered."""

from __future__ import annotations

import re

import exports
import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console
from tolerances import EXPORTS
from typer.testing import CliRunner

from onnx_roialign.cli.main import app
from onnx_roialign.demo import mask_rcnn as demo
from onnx_roialign.engines.native import roi_align
from onnx_roialign.ops.nodes import is_roi_align, read_attributes
from onnx_roialign.sessions.installed import has_builtin_kernel, loads_opset
from onnx_roialign.sessions.trial import try_engine

pytestmark = pytest.mark.xdist_group("demo")  # one run for all


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "made" / "by the demo"
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["demo", "--output", str(folder)])
    return result, folder


def rows(text):
    """The table's rows as (opset, engine) -> cells."""
    found = {}
    for line in text.splitlines():
        if match := re.fullmatch(r" *(\d\d) +(native|builtin|reference) +(.*?) *", line):
            found[int(match[1]), match[2]] = match[3].split()
    return found


def test_the_made_image_is_the_recorded_one_bit_for_bit():
    with np.load(exports.MODELS / "detectors" / "mask_rcnn_tiny.npz") as recorded:
        image = demo.make_image()
        assert image.dtype == recorded["image"].dtype
        assert np.array_equal(image, recorded["image"])


def test_it_prints_a_row_per_opset_and_engine(ran):
    result, _ = ran
    assert result.exit_code == 0, result.stderr
    assert set(rows(result.stdout)) == {(o, e) for o in (22, 16) for e in ("native", "builtin", "reference")}


@pytest.mark.parametrize("opset", [opset for opset in demo.OPSETS if loads_opset(opset)])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_our_engines_load_what_onnxruntime_can_and_answer_what_pytorch_answered(ran, opset, engine):
    loads, boxes, labels, scores, masks, milliseconds = rows(ran[0].stdout)[opset, engine]
    assert loads == "yes"
    assert float(labels) == 0
    assert max(float(boxes), float(scores), float(masks)) <= EXPORTS
    assert float(milliseconds) > 0


def test_the_builtin_kernel_loads_where_onnxruntime_has_one_and_else_the_reason_is_printed(ran):
    text = " ".join(ran[0].stdout.split())
    for opset in demo.OPSETS:
        loads = has_builtin_kernel(opset)
        assert rows(ran[0].stdout)[opset, "builtin"][0] == ("yes" if loads else "no")
        assert (f"opset {opset}, builtin: does not load: [ONNXRuntimeError]" in text) != loads
    assert has_builtin_kernel(16)


@pytest.mark.skipif(loads_opset(22), reason="needs an onnxruntime without opset 22, as CI has it")
def test_an_onnxruntime_without_opset_22_is_said_to_be_too_old_for_it(ran):
    text = " ".join(ran[0].stdout.split())
    for engine in ("native", "reference"):
        assert f"opset 22, {engine}: does not load: model must be of opset 21 at most for onnxruntime 1." in text


def test_it_says_that_the_weights_are_random(ran):
    assert "Its weights are random and the image is noise" in " ".join(ran[0].stdout.split())


def test_the_picture_has_both_panels_with_their_colours(ran):
    result, folder = ran
    path = folder / demo.PICTURE
    assert str(path) in result.stdout.replace("\n", "")
    pixels = imread(path)[:, :, :3]
    height, width, _ = pixels.shape
    assert width > 1500
    assert height > 800
    left, right = pixels[:, : width // 2], pixels[:, width * 3 // 5 :]
    blue, red, amber = ((21, 101, 192), (216, 27, 96), (255, 179, 0))
    assert count(left, blue) > 1000, "the boxes' outlines"
    assert count(left, red) > 100, "the first box's outline"
    assert count(right, red) > 1000, "the RoI and its bins"
    assert count(right, amber) > 1000, "its sampling points"
    assert count(left, amber) == 0


def count(pixels, colour):
    return int(np.count_nonzero(np.all(np.abs(pixels * 255 - colour) < 12, axis=2)))


def test_the_sampling_points_drawn_are_those_that_the_kernel_reads():
    """The shown channel, interpolated by hand at the drawn points and averaged, is what RoiAlign answers."""
    image = demo.make_image()
    detections, sampled = demo.what_to_draw(image, 16)
    y, x = np.meshgrid(sampled.y, sampled.x, indexing="ij")
    low_y, low_x = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - low_y, x - low_x
    at = sampled.feature
    values = (1 - fy) * ((1 - fx) * at[low_y, low_x] + fx * at[low_y, low_x + 1])
    values += fy * ((1 - fx) * at[low_y + 1, low_x] + fx * at[low_y + 1, low_x + 1])
    rows_, columns = sampled.bins
    means = values.reshape(rows_, y.shape[0] // rows_, columns, x.shape[1] // columns).mean((1, 3))
    node = next(n for n in demo.mask_rcnn(16).graph.node if is_roi_align(n) and "mask" in n.name)
    pooled = roi_align(
        sampled.feature[None, None], detections.boxes[:1], np.zeros(1, np.int64), read_attributes(node, 16)
    )
    np.testing.assert_allclose(means, pooled[0, 0], atol=1e-5)
    assert (sampled.y.size, sampled.x.size) == (28, 28)


def test_a_package_without_its_models_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "files", lambda package: tmp_path)
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "onnx_roialign" / "demo.py"))
    with pytest.raises(demo.RoiAlignError, match="the demo's models must be installed with the package"):
        demo.run_demo(tmp_path, Console(quiet=True))


def test_an_engine_that_fails_is_a_row_and_not_an_exception():
    trial = try_engine(demo.mask_rcnn(16), {"image": np.zeros((3, 1, 1), np.float32)}, "builtin")
    assert trial.refusal is not None
    assert trial.refusal.startswith("loads, but does not run: ")
    assert "\n" not in trial.refusal

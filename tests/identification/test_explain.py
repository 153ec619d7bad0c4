"""explain: the numbers are those of the definition, whatever the RoI, and the picture shows what they say."""

from __future__ import annotations

import math
from dataclasses import replace

import naive
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native
from onnx_roialign.identification.explain import MAX_POSITIONS, explain, noise_map
from onnx_roialign.identification.result import FIELDS
from onnx_roialign.pictures.explain import draw_explanation

NAMES = ("onnx_half_pixel", "mindspore_1")
PINK, BLUE, YELLOW = (216, 27, 96), (21, 101, 192), (253, 230, 138)

BOXES = {
    "inside": (10, 10, 90, 60),
    "tiny": (40, 40, 41, 42),
    "partly off": (-60, -30, 30, 40),
    "off": (1000, 10, 1100, 60),
    "mirrored": (90, 60, 20, 10),
    "point": (40, 40, 40, 40),
    "on the cut": (-8, -8, 8, 8),
    "all": (0, 0, 120, 80),
    "huge": (20, 20, 1e9, 60),
}


def explained(box, *, feature=(20, 30), bins=(3, 4), ratio=0, mode="avg", names=NAMES):
    attributes = Attributes(*bins, ratio, 0.25, mode, PRESETS[names[0]])
    return explain(box, feature, attributes, PRESETS[names[1]])


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("name", [name for name in BOXES if name != "huge"])
def test_the_numbers_are_those_of_the_definition_sample_by_sample(name, ratio):
    box, feature, bins = BOXES[name], (20, 30), (3, 4)
    shown = explained(box, ratio=ratio)
    for plan in (shown.first, shown.second):
        inside = []
        for axis, first, length, count in ((plan.y, 1, feature[0], bins[0]), (plan.x, 0, feature[1], bins[1])):
            ends = np.float32(box[first]), np.float32(box[first + 2])
            each, g = naive.axis_positions(*ends, count, ratio, 0.25, plan.semantics)
            flat = [at for one in each for at in one]
            kept = [naive.taps(at, length, plan.semantics) is not None for at in flat]
            assert axis.grid == max(g, 0)
            assert axis.positions.tolist() == [float(at) for at in flat]
            assert axis.kept.tolist() == kept
            assert axis.inside == sum(kept)
            inside.append(sum(kept))
        assert plan.dropped == plan.samples - inside[0] * inside[1]


def test_start_size_and_bin_by_hand():
    shown = explained((10, 20, 91, 60))
    assert shown.first.as_dict() == {
        "start": [2.0, 4.5],
        "size": [20.25, 10.0],
        "bin": [5.0625, pytest.approx(10 / 3)],
        "grid": [6.0, 4.0],
        "samples": 24 * 12,
        "dropped": 0,
    }
    assert shown.second.as_dict()["size"] == [20.5, 10.25]
    assert shown.second.as_dict()["grid"] == [5.0, 3.0]


def test_a_minimum_size_shows_in_size_and_bins():
    shown = explained(BOXES["tiny"], names=("onnx_output_half_pixel", "onnx_half_pixel"))
    assert (shown.first.x.size, shown.first.y.size) == (1, 1)
    assert (shown.second.x.size, shown.second.y.size) == (0.25, 0.5)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_the_difference_is_that_of_the_kernels_answers(box):
    shown = explained(box)
    X, rois = noise_map((20, 30), "avg")[None, None], np.float32([box])
    answers = [
        native.roi_align(X, rois, np.zeros(1, np.int64), Attributes(3, 4, 0, 0.25, semantics=PRESETS[name]))
        for name in NAMES
    ]
    if np.isnan(answers[0]).any() != np.isnan(answers[1]).any():
        assert shown.difference == math.inf
    else:
        assert shown.difference == pytest.approx(np.nanmax(np.abs(answers[0] - answers[1]), initial=0), abs=1e-5)


@pytest.mark.parametrize("names", [("tvm_aligned", "openvino_asymmetric"), ("mmcv_aligned", "detectron2")])
def test_meanings_that_differ_in_their_maxima_show_it_in_mode_max(names):
    shown = explained(BOXES["inside"], mode="max", names=names)
    first, second = (PRESETS[name] for name in names)
    differing = [name for name in FIELDS if getattr(first, name) != getattr(second, name)]
    assert "max_start" in differing
    assert shown.fields == {name: (getattr(first, name), getattr(second, name)) for name in differing}
    X, rois = noise_map((20, 30), "max")[None, None], np.float32([BOXES["inside"]])
    assert -1 <= X.min() < -0.9
    assert -0.1 < X.max() < 0
    attributes = Attributes(3, 4, 0, 0.25, "max")
    answers = [
        native.roi_align(X, rois, np.zeros(1, np.int64), replace(attributes, semantics=one)) for one in (first, second)
    ]
    assert shown.difference == pytest.approx(np.abs(answers[0] - answers[1]).max(), abs=1e-5)
    assert shown.difference > 0.05


def test_a_maximum_that_starts_from_0_alone_makes_a_difference_of_what_the_map_is_below_0():
    samples = replace(PRESETS["tvm_aligned"], max_start=0.0)
    attributes = Attributes(3, 4, 2, 0.25, "max", PRESETS["tvm_aligned"])
    shown = explain(BOXES["inside"], (20, 30), attributes, samples)
    assert shown.fields == {"max_start": (None, 0.0)}
    assert not shown.second.answer.any()
    assert shown.difference == np.abs(shown.first.answer).max() > 0


def test_a_huge_roi_is_counted_and_its_samples_beyond_the_map_are_left_out():
    plan = explained(BOXES["huge"], names=("onnx_half_pixel", "onnx_half_pixel")).first
    assert plan.x.grid > 6e7
    assert plan.x.inside == plan.x.positions.size == 26
    assert plan.x.kept.all()
    assert plan.dropped == pytest.approx(plan.samples)


def test_no_more_positions_are_kept_than_can_be_drawn():
    plan = explained((0, 0, 120, 80), ratio=MAX_POSITIONS).first
    assert plan.x.positions.size == MAX_POSITIONS
    assert plan.x.inside == 4 * MAX_POSITIONS


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((math.nan, 0, 1, 1), r"rois must be finite, got nan at row 0, column 0 \(x1\)"),
        ((0, 0, 1, math.inf), r"rois must be finite, got inf at row 0, column 3 \(y2\)"),
    ],
)
def test_a_coordinate_that_is_no_number_is_refused(box, message):
    with pytest.raises(RoiAlignError, match=message):
        explained(box)


# The picture.


def picture(tmp_path, box, **options):
    path = tmp_path / "a.png"
    draw_explanation(path, explained(box, **options), options.get("names", NAMES))
    pixels = np.rint(imread(path)[:, :, :3] * 255)
    height, width, _ = pixels.shape
    panel = pixels[int(0.08 * height) : int(0.70 * height), : int(0.62 * width)]
    side = pixels[int(0.08 * height) : int(0.45 * height), int(0.68 * width) :]
    legend = pixels[int(0.52 * height) : int(0.70 * height), int(0.66 * width) : int(0.71 * width)]
    return panel, side, legend


def count(pixels, colour):
    return int(np.count_nonzero(np.all(np.abs(pixels - colour) < 12, axis=2)))


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("name", [name for name in BOXES if name != "off"])
def test_every_roi_can_be_drawn_in_two_colours(tmp_path, name, ratio):
    panel, _, legend = picture(tmp_path, BOXES[name], ratio=ratio)
    for colour in (PINK, BLUE):
        assert count(panel, colour) > 150, "the outline and the mark where it starts"
        assert count(legend, colour) > 20


def test_samples_are_drawn_where_there_are_any(tmp_path):
    without, _, _ = picture(tmp_path, BOXES["tiny"])  # MindSpore's grid has none, one has 12
    many, _, _ = picture(tmp_path, BOXES["tiny"], ratio=2)
    assert count(many, BLUE) > count(without, BLUE) + 300


def test_dropped_samples_are_marked_off_the_map(tmp_path):
    panel, _, legend = picture(tmp_path, BOXES["partly off"], ratio=2)
    _, _, short = picture(tmp_path, BOXES["inside"], ratio=2)
    height, width, _ = panel.shape
    off = panel[height * 3 // 10 : height * 7 // 10, width * 3 // 20 : width // 2]  # within the RoI, left of the map
    assert count(off, (243, 244, 246)) > off[..., 0].size / 2, "the ground beside the map"
    assert count(off, PINK) > 300
    assert count(off, BLUE) > 300
    assert count(legend, PINK) > count(short, PINK)


def test_a_roi_far_off_the_map_leaves_a_note_and_no_marks(tmp_path):
    panel, _, _ = picture(tmp_path, BOXES["off"], ratio=2)
    assert count(panel, PINK) == count(panel, BLUE) == 0
    assert count(panel, (31, 36, 48)) > 300, "the note"


def test_bins_that_are_nan_on_one_side_are_yellow(tmp_path):
    _, side, _ = picture(tmp_path, BOXES["tiny"])
    _, other, _ = picture(tmp_path, BOXES["inside"], ratio=2)
    assert count(side, YELLOW) > 10000
    assert count(other, YELLOW) == 0


def test_bins_too_many_for_numbers_have_a_colour_bar(tmp_path):
    """Right of the bins: from white at the bottom to the darkest purple at the top."""

    def bar(bins):
        _, side, _ = picture(tmp_path, BOXES["inside"], bins=bins, ratio=2)
        height, width, _ = side.shape
        return side[:, int(0.835 * width) : int(0.85 * width)], height

    strip, height = bar((30, 30))
    dark = np.nonzero(np.all(np.abs(strip - (63, 0, 125)) < 12, axis=2))[0]
    assert dark.size > 20
    assert dark.max() < 0.2 * height
    few, _ = bar((3, 4))
    assert np.all(few > 250)


def test_results_that_are_equal_are_said_to_be(tmp_path, monkeypatch):
    written, text = [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda *arguments, **more: written.append(arguments[3]) or text(*arguments, **more)
    )
    draw_explanation(tmp_path / "a.png", explained(BOXES["off"], ratio=2), NAMES)
    assert "no difference" in written
    assert "0.00" not in written


def test_a_long_name_is_broken_and_its_note_stands_below(tmp_path, monkeypatch):
    labels, legend = [], Figure.legend
    monkeypatch.setattr(
        Figure,
        "legend",
        lambda self, **more: labels.extend(one.get_label() for one in more["handles"]) or legend(self, **more),
    )
    names = "openvino:aligned_mode=half_pixel_for_nn and more", NAMES[1]
    draw_explanation(tmp_path / "a.png", explained(BOXES["inside"], bins=(60, 60), ratio=2), names)
    assert labels[0].startswith("openvino:\naligned_mode=half_pixel_for_nn and more\n1 in ")
    assert labels[1].startswith(f"{NAMES[1]}\n1 in ")


@pytest.mark.parametrize(
    ("names", "mode", "low"), [(("openvino_half_pixel", "mindspore_1"), "max", -1), (NAMES, "avg", 0)]
)
def test_the_picture_says_in_which_fields_the_meanings_differ(tmp_path, monkeypatch, names, mode, low):
    written, text = [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda *arguments, **more: written.append(arguments[3]) or text(*arguments, **more)
    )
    labels, label = [], Axes.set_xlabel
    monkeypatch.setattr(
        Axes, "set_xlabel", lambda *arguments, **more: labels.append(arguments[1]) or label(*arguments, **more)
    )
    shown = explained(BOXES["inside"], names=names, mode=mode)
    draw_explanation(tmp_path / "a.png", shown, names)
    at = written.index("meaning, where it differs")
    for i, column in enumerate(written[at + 1 : at + 3]):
        assert " ".join(column.split()) == ", ".join(f"{field}={pair[i]}" for field, pair in shown.fields.items())
    assert f"bin along x\nthe map is noise in [{low}, {low + 1})" in labels


def test_the_picture_of_two_names_of_one_meaning_tells_of_no_field(tmp_path, monkeypatch):
    written, text = [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda *arguments, **more: written.append(arguments[3]) or text(*arguments, **more)
    )
    names = "detectron2", "onnx_half_pixel"
    draw_explanation(tmp_path / "a.png", explained(BOXES["inside"], names=names), names)
    assert "samples in all" in written
    assert "meaning, where it differs" not in written

"""Tests the picture of `explain`: outlines, samples, bins, differences, names."""

from __future__ import annotations

import numpy as np
import pytest
from explained import BOXES, NAMES, explained
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from onnx_roialign.pictures.explain import draw_explanation

PINK, BLUE, YELLOW = (216, 27, 96), (21, 101, 192), (253, 230, 138)


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
    without, _, _ = picture(tmp_path, BOXES["tiny"])  # MindSpore's grid has no samples, another grid has 12
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
    """Right of the bins: a scale from white at the bottom to the darkest purple at the top."""

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


def test_equal_results_are_labelled_no_difference(tmp_path, monkeypatch):
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
        lambda self, **more: labels.extend(handle.get_label() for handle in more["handles"]) or legend(self, **more),
    )
    names = "openvino:aligned_mode=half_pixel_for_nn_and_more", NAMES[1]
    draw_explanation(tmp_path / "a.png", explained(BOXES["inside"], bins=(60, 60), ratio=2), names)
    assert labels[0].startswith("openvino:\naligned_mode=half_pixel_for_nn_and_more\n1 in ")
    assert labels[1].startswith(f"{NAMES[1]}\n1 in ")


@pytest.mark.parametrize(
    ("names", "mode", "low"), [(("openvino_half_pixel", "mindspore_1"), "max", -1), (NAMES, "avg", 0)]
)
def test_the_picture_names_in_which_fields_the_meanings_differ(tmp_path, monkeypatch, names, mode, low):
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


def test_the_picture_of_two_names_of_one_meaning_lists_no_field(tmp_path, monkeypatch):
    written, text = [], Axes.text
    monkeypatch.setattr(
        Axes, "text", lambda *arguments, **more: written.append(arguments[3]) or text(*arguments, **more)
    )
    names = "detectron2", "onnx_half_pixel"
    draw_explanation(tmp_path / "a.png", explained(BOXES["inside"], names=names), names)
    assert "samples" in written
    assert "meaning, where it differs" not in written


LONGEST = "onnx:16,coordinate_transformation_mode=output_half_pixel", "openvino  :  aligned_mode  =  half_pixel_for_nn"


def test_the_longest_names_and_numbers_leave_each_other_room(tmp_path, monkeypatch):
    """At 60 x 60 bins each legend's entry has a note; the RoI's numbers have the most digits."""
    drawn = []
    monkeypatch.setattr("onnx_roialign.pictures.explain.save", lambda figure, path: drawn.append(figure))
    box = (-1234567.0, -1234567.0, 1234567.0, 1234567.0)
    feature = (20, 30)
    draw_explanation(tmp_path / "a.png", explained(box, bins=(60, 60), scale=1.23457e-05, feature=feature), LONGEST)
    (figure,) = drawn
    FigureCanvasAgg(figure).draw()
    left, right, below = (axes for axes in figure.axes if axes.get_title(loc="left") or not axes.axison)
    (legend,) = figure.legends
    header = [text for text in below.texts if text.get_position()[1] == 0.1]
    assert [text.get_text() for text in header] == [
        *("onnx:16,output_half_pixel", "openvino:\naligned_mode=half_pixel_for_nn", "second - first"),
    ]
    (subtitle,) = left.texts
    assert subtitle.get_text().count("\n") == 1
    places = [element.get_window_extent() for element in (legend, subtitle, *header)]
    for place in places:
        assert figure.bbox.x0 <= place.x0 < place.x1 <= figure.bbox.x1
        assert not any(place.overlaps(other) for other in places if other is not place)
        assert not place.overlaps(right.get_tightbbox())
    assert left._left_title.get_window_extent().y0 > subtitle.get_window_extent().y1
    assert left._left_title.get_window_extent().y1 < figure.bbox.y1

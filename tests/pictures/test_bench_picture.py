"""Tests the benchmark's picture: bars sorted by time, labels inside their panels, and the legend of names."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from races import fake_contestant

from onnx_roialign.bench.race import Race, Result, Times
from onnx_roialign.bench.workloads import NAMES_EXPLAINED, WORKLOADS
from onnx_roialign.pictures.bench import draw_race, draw_races

MACHINE = {"cpu": "a CPU", "cores": 2, "versions": {"onnxruntime": "1.32.0", "openvino": "2026.4.1"}}


def race_of(name="one_value", **milliseconds):
    """The engines by name; the library's are named ours_ISA."""
    results = []
    for engine, median in milliseconds.items():
        isa = engine.partition("_")[2] or None
        times = Times(median, 0.9 * median, 1.3 * median, 9)
        results.append(Result(fake_contestant(engine.partition("_")[0], isa=isa), None, 0.0, times))
    return Race(name, "float32", "avg", 1, 1, 1.0, 1e-4, tuple(results))


@pytest.mark.parametrize(
    ("times", "order"),
    [
        (
            {"ours_avx2": 42, "ours_baseline": 64, "onnxruntime": 555, "openvino": 1091},
            "openvino onnxruntime baseline avx2",
        ),
        ({"ours_avx2": 9.0, "ours_baseline": 8.6, "onnxruntime": 8.7}, "avx2 onnxruntime baseline"),
    ],
)
def test_bars_are_in_the_order_of_their_times(times, order):
    axes = Figure().subplots()
    draw_race(axes, race_of(**times), "onnxruntime")
    labels = [label.get_text().removeprefix("ours, ") for label in axes.get_yticklabels()]
    assert labels == order.split()
    assert axes.yaxis_inverted(), "the first is on top"


@pytest.mark.parametrize("median", [0.00897, 1.234, 98765.4])
@pytest.mark.parametrize("width", [5.5, 6.6])  # inches of a column of panels
def test_labels_stay_inside_their_panel(median, width):
    figure = Figure(figsize=(width, 2))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.25, 0.2, 0.72, 0.7))
    draw_race(axes, race_of(ours_avx2=median, ours_baseline=0.99 * median, onnxruntime=0.98 * median), "onnxruntime")
    canvas.draw()
    for label in axes.texts:
        assert label.get_window_extent().x1 <= axes.get_window_extent().x1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_title_and_caption_are_inside_the_picture_and_apart_from_the_panels(tmp_path, monkeypatch, count):
    drawn = []
    text = Figure.text
    monkeypatch.setattr(Figure, "text", lambda *arguments, **more: drawn.append(text(*arguments, **more)) or drawn[-1])
    races = [race_of(ours_avx2=42, onnxruntime=555)] * count
    draw_races(tmp_path / "bench.png", races, MACHINE)
    title, caption = drawn
    figure = title.figure
    size = figure.bbox
    for element in (title, caption):
        place = element.get_window_extent()
        assert size.x0 <= place.x0
        assert place.x1 <= size.x1
        assert size.y0 <= place.y0
        assert place.y1 <= size.y1
    panels = [axes.get_tightbbox() for axes in figure.axes if axes.get_visible()]
    assert len(panels) == count
    assert caption.get_window_extent().y1 < min(panel.y0 for panel in panels)
    assert title.get_window_extent().y0 > max(panel.y1 for panel in panels)
    assert imread(tmp_path / "bench.png").shape[1] == round(size.width)


def test_every_part_of_the_workloads_names_is_explained():
    for name in WORKLOADS:
        parts = [name] if name in NAMES_EXPLAINED else name.split("_")
        assert all(part in NAMES_EXPLAINED for part in parts)

"""The demo: a Mask R-CNN that ONNX Runtime refuses to load, on every engine, compared with PyTorch, drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from onnx_roialign.arrays import Array, largest_difference
from onnx_roialign.definition.geometry import axis_samples, roi_axes
from onnx_roialign.demo.torch_rand import torch_rand
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.ops.nodes import is_roi_align, read_attributes
from onnx_roialign.sessions.session import ENGINES
from onnx_roialign.sessions.trial import Trial, try_engine

if TYPE_CHECKING:
    from importlib.abc import Traversable  # leaves this place in Python 3.14, and 3.10 has no other

    from onnx_roialign.pictures.demo import Detections, SampledRoi

__all__ = ["OPSETS", "PICTURE", "expected_outputs", "make_image", "mask_rcnn", "run_demo", "what_to_draw"]

OPSETS = (22, 16)
PICTURE = "onnx_roialign_demo.png"
REPEAT = 10  # measured runs per engine; the median of RoiAlign's few milliseconds settles to 5 % or so


def make_image() -> NDArray[np.float32]:
    """Returns the image, (3, 192, 256) in [0, 1): the noise that PyTorch drew when its answer was recorded.

    PyTorch had drawn the model's random weights from the same generator before: 132,050 numbers.
    """
    return torch_rand(3, 132_050, (3, 192, 256))


def mask_rcnn(opset: int) -> onnx.ModelProto:
    """Returns the Mask R-CNN export at `opset`, one of OPSETS."""
    name = f"mask_rcnn_tiny_torchscript_opset{opset}.onnx"
    return onnx.load_from_string(_model_file(name).read_bytes())


def expected_outputs() -> dict[str, Array]:
    """Returns what PyTorch answered on the image: boxes, labels, scores, masks."""
    with np.load(io.BytesIO(_model_file("mask_rcnn_tiny.npz").read_bytes())) as recorded:
        return {name: recorded[name] for name in ("boxes", "labels", "scores", "masks")}


def _model_file(name: str) -> Traversable:
    file = files("onnx_roialign").joinpath("models", "detectors", name)
    if not file.is_file():
        raise RoiAlignError(f"the demo's models must be installed with the package, got none of {name}")
    return file


def run_demo(output: Path, console: Console) -> None:
    """Runs the whole demo: prints its table to `console` and writes PICTURE into the folder `output`.

    Raises:
        RoiAlignError: the folder cannot be written, or the package came without its models.
    """
    with imported_for("the demo's picture"):  # matplotlib takes longer to import than all else together
        from onnx_roialign.pictures.demo import draw

    _make_writable(output)
    image, expected = make_image(), expected_outputs()
    console.print(
        "Mask R-CNN (torchvision's, with a tiny backbone), exported by PyTorch 2.12.1. [bold]Its weights are random and"
        " the image is noise[/], so what it finds means nothing. What counts is whether an engine loads the model, and"
        " whether it then answers what PyTorch answered.",
        highlight=False,
    )
    trials = _all_trials(image)
    console.print(_table(trials, expected))
    for line in _remarks(trials):
        console.print(line, markup=False, highlight=False)
    opset = next((opset for opset, trial in trials if trial.engine == "native" and trial.refusal is None), OPSETS[-1])
    draw(output / PICTURE, *what_to_draw(image, opset))
    console.print(f"Picture: {output / PICTURE}", markup=False, highlight=False, soft_wrap=True)


def _make_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / PICTURE).touch()
    except OSError as error:
        raise RoiAlignError(f"--output must be a folder to write to, got {str(output)!r} ({error.strerror})") from error


def _all_trials(image: Array) -> list[tuple[int, Trial]]:
    trials = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("running", total=len(OPSETS) * len(ENGINES) * (1 + REPEAT))
        for opset in OPSETS:
            for engine in ENGINES:
                progress.update(bar, description=f"opset {opset}, {engine}")
                feeds, after_run = {"image": image}, partial(progress.advance, bar)
                trial = try_engine(mask_rcnn(opset), feeds, engine, repeat=REPEAT, profile=True, after_run=after_run)
                trials.append((opset, trial))
    return trials


def _table(trials: Sequence[tuple[int, Trial]], expected: Mapping[str, Array]) -> Table:
    table = Table(box=SIMPLE, title="Largest difference of each output from PyTorch's recorded answer")
    for header in ("opset", "engine", "loads"):
        table.add_column(header, no_wrap=True)
    for header in (*expected, "RoiAlign, ms"):
        table.add_column(header, justify="right", no_wrap=True)
    for opset, trial in trials:
        if trial.refusal is not None:
            table.add_row(str(opset), trial.engine, "[red]no[/]", *["-"] * (len(expected) + 1))
            continue
        differences = (f"{largest_difference(trial.outputs[name], want):.2g}" for name, want in expected.items())
        time = f"{trial.roi_align_milliseconds:.2f}"
        table.add_row(str(opset), trial.engine, "[green]yes[/]", *differences, time)
    return table


def _remarks(trials: Sequence[tuple[int, Trial]]) -> Iterator[str]:
    for opset, trial in trials:
        if trial.refusal is not None:
            yield f"opset {opset}, {trial.engine}: {trial.refusal}"
    yield "native: our compiled kernel; builtin: ONNX Runtime's own; reference: our NumPy code inside the session."
    yield f"RoiAlign's time: all 8 RoiAlign nodes of one run by ONNX Runtime's profiler, median of {REPEAT} runs."


def what_to_draw(image: Array, opset: int) -> tuple[Detections, SampledRoi]:
    """Runs the model at `opset` on the compiled kernel and returns its detections, and how the first was sampled.

    The feature map and the RoI are those that the mask head's RoiAlign got: both are made outputs of the model.
    """
    from onnx_roialign.pictures.demo import Detections, SampledRoi

    model = mask_rcnn(opset)
    node = next(node for node in model.graph.node if is_roi_align(node) and "mask" in node.name)
    tapped = {"X": node.input[0], "rois": node.input[1]}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tapped.values())
    trial = try_engine(model, {"image": image}, "native")
    if trial.refusal is not None:
        raise RoiAlignError(f"the picture must have an answer to show, got none: {trial.refusal}")
    X, rois = (trial.outputs[name] for name in tapped.values())
    attributes = read_attributes(node, opset)
    channel = int(np.argmax(np.std(X[0], axis=(1, 2))))
    y, x = roi_axes(rois[:1], X.shape[2:], attributes)
    sampled = SampledRoi(
        feature=X[0, channel],
        channel=channel,
        x=axis_samples(x).position,
        y=axis_samples(y).position,
        bins=(attributes.output_height, attributes.output_width),
        spatial_scale=attributes.spatial_scale,
    )
    return Detections(image, *(trial.outputs[name] for name in ("boxes", "scores", "masks"))), sampled

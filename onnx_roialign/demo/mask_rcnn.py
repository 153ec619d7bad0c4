"""The demo: an exported Mask R-CNN on every engine, before and after `fuse`, compared with PyTorch, timed and drawn."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from onnx_roialign.arrays import Array
from onnx_roialign.bench.narrow import fitted
from onnx_roialign.bench.report import milliseconds
from onnx_roialign.demo.runs import BASELINE, Run, difference, run_all, times_faster
from onnx_roialign.demo.scene import CLASSES, MASK_STEP, demo_scene, summary
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_output
from onnx_roialign.graph import Fused, fuse
from onnx_roialign.ops import multiscale_roi_align, paste_masks

if TYPE_CHECKING:
    from importlib.abc import Traversable  # Python 3.10 has it only here; Python 3.14 only in importlib.resources

__all__ = ["OPSETS", "PICTURE", "expected_outputs", "mask_rcnn", "run_demo"]

OPSETS = (22, 16)
PICTURE = "onnx_roialign_demo.png"
_PARTS = {multiscale_roi_align.OP_TYPE: "poolers", paste_masks.OP_TYPE: "mask pasting"}
_NOTES = (
    "builtin: ONNX Runtime's own kernel; native: this package's compiled kernel; optimized: native, after "
    "`onnx-roialign optimize`; reference: this package's NumPy code inside the session.",
    "Times: medians on all cores, end to end in turns; RoiAlign: all such nodes of a run, by ONNX Runtime's profiler.",
    "A detector with a large backbone gains less, because it spends more of its time in convolutions.",
)


def mask_rcnn(opset: int) -> onnx.ModelProto:
    """Returns the Mask R-CNN export at `opset`, one of OPSETS."""
    name = f"mask_rcnn_torchscript_opset{opset}.onnx"
    return onnx.load_from_string(_model_file(name).read_bytes())


def expected_outputs() -> dict[str, Array]:
    """Returns PyTorch's outputs for the scene: boxes, labels, scores, and masks at every MASK_STEP-th pixel."""
    with np.load(io.BytesIO(_model_file("mask_rcnn.npz").read_bytes())) as recorded:
        return {name: recorded[name] for name in ("boxes", "labels", "scores", "masks")}


def _model_file(name: str) -> Traversable:
    file = files("onnx_roialign").joinpath("models", "shapes", name)
    if not file.is_file():
        raise RoiAlignError("the demo's models", "missing", f"must be installed with the package, got none of {name}")
    return file


def run_demo(output: Path, console: Console) -> dict[str, Any]:
    """Runs the whole demo: prints its table to `console` and writes PICTURE into the folder `output`.

    Returns:
        The picture's path and the numbers in the table, as JSON types.

    Raises:
        RoiAlignError: the folder cannot be written, or the models are not installed with the package.
    """
    with imported_for("the demo's picture"):  # matplotlib is slow to import
        from onnx_roialign.demo.drawing import draw_demo

    _make_writable(output)
    scene, expected = demo_scene(), expected_outputs()
    _, height, width = scene.image.shape
    console.print(
        f"Mask R-CNN (torchvision's, with a tiny backbone) that finds {', '.join(f'{name}s' for name in CLASSES[1:])}, "
        f"exported by PyTorch 2.14.1. The image was not used for training: {width} x {height} pixels, "
        f"{len(scene.labels)} shapes.",
        highlight=False,
    )
    with Console(stderr=True).status("running"):
        models = {opset: mask_rcnn(opset) for opset in OPSETS}
        fused = {opset: fuse(model) for opset, model in models.items()}
        runs = run_all(models, fused, {"image": scene.image})
    for part in fitted(console, _table(runs, expected), keys=2):
        console.print(part)
    for line in (*_refusals(runs), *_optimized(runs, fused), *_NOTES):
        console.print(line, markup=False, highlight=False)
    shown = next(run for run in reversed(runs) if run.way == "optimized")  # opset 16, which every ONNX Runtime loads
    console.print(summary(scene, shown.trial.outputs), markup=False, highlight=False)
    draw_demo(output / PICTURE, scene, fused[shown.opset].model, runs)
    console.print(f"Picture: {output / PICTURE}", markup=False, highlight=False, soft_wrap=True)
    return {"picture": str(output / PICTURE), "runs": [_record(run, expected) for run in runs], "ok": True}


def _make_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RoiAlignError(
            "--output", "file", f"must be a folder to write to, got {str(output)!r} ({error.strerror})"
        ) from error
    check_output("--output", output / PICTURE, {})


def _table(runs: Sequence[Run], expected: Mapping[str, Array]) -> Table:
    table = Table(
        box=SIMPLE, title="Largest difference from PyTorch's recorded outputs, relative to the largest value; ms"
    )
    for header in ("opset", "engine", "loads"):
        table.add_column(header, no_wrap=True)
    for header in (*expected, "RoiAlign", "end to end", "faster"):
        table.add_column(header, justify="right", no_wrap=True)
    for run in runs:
        if run.trial.refusal is not None:
            table.add_row(str(run.opset), run.way, "[red]no[/]", *["-"] * (len(expected) + 3))
            continue
        differences = (f"{value:.2g}" for value in _differences(run, expected).values())
        times = (run.trial.roi_align_milliseconds, None if run.times is None else run.times.median)
        cells = ("-" if time is None else milliseconds(time) for time in times)
        table.add_row(str(run.opset), run.way, "[green]yes[/]", *differences, *cells, times_faster(run.faster))
    return table


def _differences(run: Run, expected: Mapping[str, Array]) -> dict[str, float]:
    got = _as_recorded(run.trial.outputs)
    return {name: difference(got[name], want) for name, want in expected.items()}


def _record(run: Run, expected: Mapping[str, Array]) -> dict[str, Any]:
    times = run.times
    return {
        "opset": run.opset,
        "engine": run.way,
        "nodes": run.nodes,
        "refusal": run.trial.refusal,
        "differences": None if run.trial.refusal is not None else _differences(run, expected),
        "roi_align_ms": run.trial.roi_align_milliseconds,
        "median_ms": times and times.median,
        "q1_ms": times and times.q1,
        "q3_ms": times and times.q3,
        "samples": times and times.samples,
        "faster": run.faster,
    }


def _as_recorded(outputs: Mapping[str, Array]) -> dict[str, Array]:
    return {**outputs, "masks": outputs["masks"][:, :, ::MASK_STEP, ::MASK_STEP]}


def _refusals(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.trial.refusal is not None:
            yield f"opset {run.opset}, {run.way}: {run.trial.refusal}"


def _optimized(runs: Sequence[Run], fused: Mapping[int, Fused]) -> Iterator[str]:
    """Yields the changes by `fuse` at each opset."""
    for opset, result in fused.items():
        before, after = (next(r for r in runs if (r.opset, r.way) == (opset, way)) for way in ("native", "optimized"))
        if after.times is None:
            continue
        parts = Counter(part.op for part in result.report if part.fused)
        written = "; ".join(f"{_PARTS[op]}: {count} {op}" for op, count in parts.items())
        apart = max(difference(after.trial.outputs[name], want) for name, want in before.trial.outputs.items())
        yield (
            f"opset {opset}, optimize: {before.nodes} nodes -> {after.nodes} ({written}); {times_faster(after.faster)} "
            f"as fast end to end as {BASELINE}; outputs equal to those before within {apart:.1g}"
        )

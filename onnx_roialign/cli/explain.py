"""The command explain: draws the samples of one RoI under two meanings of RoiAlign."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.cli.options import JSON, MODE, output
from onnx_roialign.cli.output import number, print_lines, write_json
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.sources import parse
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_output

if TYPE_CHECKING:
    from onnx_roialign.identification.explain import Explanation

__all__ = ["explain"]

# The picture shows each bin; with more bins, one bin would be smaller than a dot.
_MOST_BINS = 256

_SIZE = r"(\d{1,9})x(\d{1,9})"


def explain(
    roi: Annotated[str, typer.Option(metavar="X1,Y1,X2,Y2", help="The RoI, in pixels of the image.")],
    feature: Annotated[str, typer.Option(metavar="HxW", help="Height and width of the feature map in pixels.")],
    scale: Annotated[float, typer.Option(help="Pixels of the feature map per pixel of the image: spatial_scale.")],
    output: Annotated[Path, output("the picture, a .png file.")],
    semantics: Annotated[
        str, typer.Option(metavar="A", help="A preset, or a framework's call: paddle:aligned=False, onnx:16.")
    ] = "onnx_half_pixel",
    versus: Annotated[
        str, typer.Option(metavar="B", help="The preset or call to compare A with.")
    ] = "onnx_output_half_pixel",
    bins: Annotated[str, typer.Option(metavar="HxW", help="Number of bins: output_height, output_width.")] = "7x7",
    sampling_ratio: Annotated[int, typer.Option(help="Samples per bin and axis; 0: adaptive.")] = 0,
    mode: Annotated[str, MODE] = "avg",
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Draw the samples of a RoI under two meanings of RoiAlign, and the difference of their results."""
    with imported_for("the picture"):
        from onnx_roialign.identification import explain as explanations
        from onnx_roialign.pictures.explain import draw_explanation

    box = _box(roi)
    height, width = _size("--feature", feature, 9999)
    rows, columns = _size("--bins", bins, _MOST_BINS)
    attributes = Attributes(rows, columns, sampling_ratio, scale, mode, parse(semantics))
    if output.suffix.lower() != ".png" or not output.resolve().parent.is_dir():
        way_out = "; the number of bins is --bins" if re.fullmatch(_SIZE, str(output)) else ""
        raise RoiAlignError(
            "--output", "file", f"must be a .png file in a folder that exists, got {str(output)!r}{way_out}"
        )
    check_output("--output", output, {})
    shown = explanations.explain(box, (height, width), attributes, parse(versus))
    draw_explanation(output, shown, (semantics, versus))
    if as_json:
        write_json("explain", _explained(shown, (semantics, versus), output))
    else:
        _print_explained(shown, (semantics, versus), output)
    return 0


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise RoiAlignError("--roi", "form", f"must be x1,y1,x2,y2, got {text!r}") from None
    return x1, y1, x2, y2


def _size(option: str, text: str, most: int) -> tuple[int, int]:
    match = re.fullmatch(_SIZE, text.lower())
    sizes = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= size <= most for size in sizes):
        raise RoiAlignError(option, "form", f"must be HxW, each in [1, {most}], got {text!r}")
    return sizes


def _explained(shown: Explanation, names: tuple[str, str], picture: Path) -> dict[str, Any]:
    plans = [
        {"name": name, "semantics": dataclasses.asdict(plan.semantics), **plan.as_dict()}
        for name, plan in zip(names, (shown.first, shown.second), strict=True)
    ]
    return {
        "box": list(shown.box),
        "feature": list(shown.feature),
        "output": list(shown.first.result.shape),
        "sampling_ratio": shown.attributes.sampling_ratio,
        "mode": shown.attributes.mode,
        "scale": shown.attributes.spatial_scale,
        "first": plans[0],
        "second": plans[1],
        "difference": number(shown.difference),
        "picture": str(picture),
        "ok": True,
    }


def _print_explained(shown: Explanation, names: tuple[str, str], picture: Path) -> None:
    table = Table()
    table.add_column("x, y in pixels of the feature map")
    for name in names:
        table.add_column(escape(name), justify="right")
    plans = tuple(plan.as_dict() for plan in (shown.first, shown.second))
    for key in plans[0]:
        table.add_row(key if key != "grid" else "grid: samples per bin", *(_cell(plan[key]) for plan in plans))
    for field, values in shown.fields.items():
        table.add_row(f"meaning: {field}", *(str(value) for value in values))
    console = Console()
    console.print(table)
    worst = "only one is NaN" if math.isinf(shown.difference) else f"{shown.difference:.4g}"
    lines = (
        f"Largest difference of the results in mode {shown.attributes.mode} on a map of {shown.noise}: {worst}",
        f"Picture: {picture}",
    )
    print_lines(console, lines)


def _cell(value: Any) -> str:
    return ", ".join(f"{part:.6g}" for part in value) if isinstance(value, list) else f"{value:,}"

"""The arguments and options that several commands have: one name, one type, one meaning."""

from __future__ import annotations

import typer

__all__ = ["INPUTS", "JSON", "MODE", "MODEL", "OUTPUT_MODEL", "PRIVATE_OP", "SOURCE", "output"]

MODEL = typer.Argument(metavar="MODEL", help="An ONNX model file.")
JSON = typer.Option(
    "--json", help="Write one JSON object, whose keys are stable, to stdout; schema: onnx_roialign/cli/schemas/."
)
SOURCE = (
    "The framework call that the model was exported from: torchvision, torchvision:aligned=True, paddle, "
    "mindspore:roi_end_mode=0, onnx:16, or a preset."
)
INPUTS = "A .npz file with an array per model input."
EXPECTED = "Arrays named like outputs are the expected outputs."
ENGINE = "An engine that runs RoiAlign:"
MODE = typer.Option("--mode", help="Pooling within a bin: avg or max.")
REPEAT = "Timed runs per engine, after one that is not counted."
AGAINST = "What to compare with:"
BACKEND = (
    "A runtime to test: a built-in backend, or an onnx.backend.base.Backend as module:Class or path/file.py:Class."
)
PYTHON = typer.Option("--python", help="A Python that has the backend's runtime, numpy and onnx. Default: this one.")
JOBS = typer.Option("--jobs", help="Number of parallel workers. Default: one per core.")
PRIVATE_OP = typer.Option(
    "--private-op/--no-private-op",
    help="Whether onnx_roialign::AnyRoiAlign may be used where ONNX's RoiAlign cannot express the meaning.",
)


def output(what: str) -> typer.models.OptionInfo:
    """Returns the option --output, -o: the path that the command writes its result to."""
    option: typer.models.OptionInfo = typer.Option("--output", "-o", help=f"Where to write: {what}")
    return option


OUTPUT_MODEL = output("the file of the new model.")

"""The command deploy: writes a model for a server that knows a library only by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from onnx_roialign.cli.options import JSON, MODEL, SOURCE
from onnx_roialign.cli.output import print_lines, size_of, write_json
from onnx_roialign.cli.refusal import of_the_model
from onnx_roialign.errors import ModelError, RoiAlignError
from onnx_roialign.onnx_model.inputs import read_model

__all__ = ["deploy"]

# The arguments of `deploy_triton` by their options.
_OPTIONS = {
    "repository": "--triton",
    "name": "--name",
    "version": "--model-version",
    "served_at": "--served-at",
    "source": "--source",
    "max_batch_size": "--max-batch-size",
}


def deploy(
    model: Annotated[Path, MODEL],
    triton: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of a Triton model repository, which may have other models.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Of the model for Triton. Default: MODEL's name without its ending.")
    ] = None,
    model_version: Annotated[int, typer.Option(help="The version to write, which must not exist yet.")] = 1,
    served_at: Annotated[
        str | None, typer.Option(help="Path of DIR on the server, such as /models in a container. Default: DIR's here.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help=f"{SOURCE} RoiAligns are repaired first. Default: the model's results are correct."),
    ] = None,
    max_batch_size: Annotated[
        int | None,
        typer.Option(help="The most requests in one run; 0: 1. Default: 8 if runs show that a batch keeps them apart."),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write a model repository for the Triton server: the model made explicit, its config, the library beside it."""
    from onnx_roialign.serving.triton import deploy_triton

    proto = read_model(model)
    options = {"name": name, "served_at": served_at, "source": source, "max_batch_size": max_batch_size}
    try:
        with of_the_model(*_OPTIONS):
            written = deploy_triton(model, triton, version=model_version, **options)  # type: ignore[arg-type]
    except RoiAlignError as error:
        if isinstance(error, ModelError):  # an input of a model may have any name, also that of an argument
            raise
        raise error.about(_OPTIONS[error.subject]) from None
    if as_json:
        write_json(
            "deploy",
            {
                "model": str(model),
                **size_of(proto),
                "source": source,
                "folder": written.folder,
                "version": written.version,
                "library": written.library,
                "max_batch_size": written.max_batch_size,
                "batching": written.batching,
                "ok": True,
            },
        )
        return 0
    lines = (
        f"Written: {written.folder}, version {written.version}",
        f"The server loads the library from {written.library}",
        f"max_batch_size {written.max_batch_size}: {written.batching}",
    )
    print_lines(Console(), lines)
    return 0

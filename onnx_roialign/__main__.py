"""The command onnx-roialign: python -m onnx_roialign."""

from __future__ import annotations

import sys

from onnx_roialign.errors import MissingPackageError
from onnx_roialign.extras import imported_for

__all__ = ["main"]

_MISSING = 4  # the exit code where the installation lacks what a command needs


def main() -> None:
    """Entry point of the command onnx-roialign."""
    try:
        with imported_for("the command line"):
            from onnx_roialign.cli import main as cli
    except MissingPackageError as error:
        sys.stderr.write(f"onnx-roialign: {error}\n")
        sys.exit(_MISSING)
    cli.main()


if __name__ == "__main__":
    main()

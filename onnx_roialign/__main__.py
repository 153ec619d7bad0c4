"""The command onnx-roialign: python -m onnx_roialign."""

from __future__ import annotations

import sys

from onnx_roialign.errors import MissingPackageError
from onnx_roialign.extras import imported_for

__all__ = ["main"]

_INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it


def main() -> None:
    """Entry point of the command onnx-roialign."""
    try:
        with imported_for("the command line"):
            from onnx_roialign.cli import main as cli
        cli.main()
    except MissingPackageError as error:
        from onnx_roialign.cli.refusal import refuse  # needs only what is always installed

        refuse(sys.argv[1:], None, error)
    except KeyboardInterrupt:  # also while it imports, which takes a second
        sys.stderr.write("onnx-roialign: interrupted\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()

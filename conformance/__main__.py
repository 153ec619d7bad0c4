"""python -m onnx_roialign.conformance: the same as onnx-roialign conform."""

from __future__ import annotations

import sys

from onnx_roialign.__main__ import main

if __name__ == "__main__":
    sys.argv[1:1] = ["conform"]
    main()

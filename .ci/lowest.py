"""Prints, as pins for pip, the lowest version that pyproject.toml allows of every package that users may need.

onnx_roialign must be installed: its requirements are read from its metadata.
"""

import importlib.metadata
import re
import sys

for line in importlib.metadata.requires("onnx_roialign") or ():
    extra = re.search(r"extra == ['\"](\w+)['\"]", line)
    lowest = re.match(r"([\w-]+) ?\(?>=([\w.]+)", line)
    if lowest and (extra is None or extra[1] not in ("test", "lint", "wheels")):
        sys.stdout.write(f"{lowest[1]}=={lowest[2]}\n")

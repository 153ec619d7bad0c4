"""What .ci/wheels.py builds, by the tag of the platform."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

from paths import ROOT

sys.path.append(str(ROOT / ".ci"))  # of the modules beside it
TAGS = tuple(runpy.run_path(str(ROOT / ".ci" / "wheels.py"))["PLATFORMS"])
LINUX = tuple(tag for tag in TAGS if "linux" in tag)
MACOS = tuple(tag for tag in TAGS if "macos" in tag)
URL = "https://example.org/owner/project"  # of the repository, as its owner would give it


@dataclass(frozen=True)
class Wheels:
    """The sdist, the wheels, and the wheels' contents unpacked."""

    sdist: Path
    wheels: dict[str, Path]
    unpacked: dict[str, Path]

    def library(self, tag: str) -> Path:
        files = (self.unpacked[tag] / "onnx_roialign").iterdir()
        (library,) = (path for path in files if path.suffix in (".so", ".dylib", ".dll"))
        return library

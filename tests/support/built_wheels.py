"""What .ci/wheels.py builds, by the tag of the platform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TAGS = (
    *("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "musllinux_1_2_x86_64", "musllinux_1_2_aarch64"),
    *("win_amd64", "macosx_11_0_arm64", "macosx_11_0_x86_64"),
)
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

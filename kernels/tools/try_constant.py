"""Times calls with other values of one of the kernels' named constants, in turns with the value that it has.

    python kernels/tools/try_constant.py kSmallCall 2048 8192

Copies the sources to build/constants, builds the library once for each value (which needs a C++ compiler, CMake and
Ninja; a constant of pool/*.inl or of a header takes minutes, as the instruction sets are compiled anew), and prints for
each call of time_calls.cpp how long it takes as things stand, and how many times as long with each other value.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "constants"
SOURCE = BUILD / "source"


def find(name: str, kernels: Path) -> tuple[Path, re.Match[str]]:
    """Returns the file that defines a constant, and where it does: the match's first group is the value."""
    found = []
    for path in sorted(kernels.rglob("*")):
        if path.suffix in {".h", ".cpp", ".inl"} and path.parent.name != "tools":
            pattern = rf"\bconstexpr \w+ (?:\w+ = [^;]+, )?{name} = ([^;]+?)(?=;|, \w+ = )"
            found += [(path, match) for match in re.finditer(pattern, path.read_text(encoding="utf-8"))]
    if len(found) != 1:
        places = ", ".join(str(path.relative_to(kernels)) for path, _ in found) or "no file"
        raise SystemExit(f"try_constant.py: a constant must be defined in one place, got {name} in {places}")
    return found[0]


def with_value(text: str, definition: re.Match[str], value: str) -> str:
    """Returns the text with another value in the definition."""
    return text[: definition.start(1)] + value + text[definition.end(1) :]


def copy_sources() -> None:
    """Copies what CMake needs. Files that have not changed keep their times, so that they are not compiled again."""
    for name in ("CMakeLists.txt", "kernels", "onnx_roialign/__init__.py"):
        for path in sorted(ROOT.glob(f"{name}/**/*")) if (ROOT / name).is_dir() else [ROOT / name]:
            copy = SOURCE / path.relative_to(ROOT)
            if path.is_file() and not (copy.exists() and copy.read_bytes() == path.read_bytes()):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def build() -> None:
    """Builds the library and time_calls from the copied sources."""
    configure = ["cmake", "-S", SOURCE, "-B", BUILD / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", BUILD / "build", "--target", "onnx_roialign", "time_calls"]):
        subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


def build_values(name: str, values: Sequence[str]) -> list[Path]:
    """Builds the library as it stands, and with each value. Returns the libraries' paths."""
    copy_sources()
    path, definition = find(name, SOURCE / "kernels")
    text = path.read_text(encoding="utf-8")
    libraries = []
    for number, value in enumerate((definition[1], *values)):
        new = with_value(text, definition, value)
        if new != path.read_text(encoding="utf-8"):
            path.write_text(new, encoding="utf-8")
        build()
        libraries.append(BUILD / f"{number}.so")
        shutil.copyfile(BUILD / "build" / "kernels" / "libonnx_roialign.so", libraries[-1])
    return libraries


def report(name: str, now: str, values: Sequence[str], rows: Sequence[dict]) -> list[str]:
    """Returns the lines of the table; each row has the call's name and its nanoseconds, first with the value now."""
    lines = [f"{'':46}{f'{name} = {now}':>24}" + "".join(f"{value:>12}" for value in values)]
    for row in rows:
        first, *others = row["ns"]
        ratios = "".join(f"{other / first:>11.2f}x" for other in others)
        lines.append(f"{row['call']:46}{first / 1e6:>21.4f} ms{ratios}")
    return lines


def main() -> None:
    """Builds, times and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="the constant, such as kSmallCall")
    parser.add_argument("values", nargs="+", help="other values, as C++ has them")
    parser.add_argument("--rounds", type=int, default=30, help="turns; the least time of each call counts")
    given = parser.parse_args()
    _, definition = find(given.name, ROOT / "kernels")
    libraries = build_values(given.name, given.values)
    command = [str(BUILD / "build" / "kernels" / "time_calls"), str(given.rounds), *map(str, libraries)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    sys.stdout.write("\n".join(report(given.name, definition[1], given.values, rows)) + "\n")


if __name__ == "__main__":
    main()

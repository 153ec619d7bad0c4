"""Builds dist/: the sdist and, out of it, one wheel for each platform, all on this machine, with zig as the compiler.

    make wheels                                                # all of them
    .venv/bin/python .ci/wheels.py win_amd64 ...               # some
    ONNX_ROIALIGN_URL=https://github.com/OWNER/NAME make wheels   # with links to the repository in the metadata

Needs pip install '.[wheels]'. A wheel serves every Python, as no code of it is compiled for one: py3-none-PLATFORM.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import macho

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "wheels"
BUILT = "onnx_roialign-*"  # the names of what is built

# Tag of the platform -> zig's name for it, with the oldest system that it must run on.
PLATFORMS = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "win_amd64": "x86_64-windows-gnu",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "macosx_11_0_x86_64": "x86_64-macos.11.0",
}


def run(*command: str | Path, **environment: str) -> None:
    """Runs one of the tools of this Python's environment."""
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **environment}
    subprocess.run([sys.executable, "-m", *map(str, command)], check=True, env=environment)


def build_sdist(source: Path, folder: Path) -> Path:
    """Returns the path of the sdist of a source tree; what was built in the folder before is removed."""
    for old in folder.glob(BUILT):
        old.unlink()
    run("build", "--no-isolation", "--sdist", "--outdir", folder, source)
    (sdist,) = folder.glob(f"{BUILT}.tar.gz")
    return sdist


def unpack(sdist: Path, folder: Path) -> None:
    """Unpacks an sdist; its files lie in the folder itself."""
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder.parent / "unpacked", filter="data")
    (folder.parent / "unpacked" / sdist.name.removesuffix(".tar.gz")).rename(folder)


def add_links(source: Path, url: str) -> None:
    """Adds the repository's address to the metadata, and to the README's links, which an index shows without files."""
    pyproject, readme = source / "pyproject.toml", source / "README.md"
    links = f'[project.urls]\nSource = "{url}"\nIssues = "{url}/issues"\nChangelog = "{url}/blob/HEAD/CHANGELOG.md"\n\n'
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(text.replace("[project.scripts]", f"{links}[project.scripts]"), encoding="utf-8")

    def absolute(link: re.Match[str]) -> str:
        return f"{link[1]}({url}/{'raw' if link[1].startswith('!') else 'blob'}/HEAD/{link[2]})"

    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(r"(!?\[[^]]*\])\((?!\w+:|#)([^)]+)\)", absolute, text), encoding="utf-8")


def is_exported(name: str) -> bool:
    """Returns whether the library's list of exports has this name."""
    patterns = re.search(r"global: (.*);", (ROOT / "kernels" / "exports.map").read_text(encoding="utf-8"))[1]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split("; "))


def hide_symbols(wheel: Path, made: Path, dist: Path) -> None:
    """Hides what zig's linker for macOS exports beyond the list that other linkers are given."""
    run("wheel", "unpack", "--dest", made / "wheel", wheel)
    (folder,) = (made / "wheel").iterdir()
    macho.hide(folder / "onnx_roialign" / "libonnx_roialign.dylib", is_exported)
    run("wheel", "pack", "--dest-dir", dist, folder)


def build_wheel(source: Path, tag: str, dist: Path) -> None:
    """Builds one wheel. Where auditwheel can, it tags it by what its library needs: the planned tag, or it is an error.

    It cannot for musl, whose libc.so it takes for this machine's file of that name, which is a script of glibc's.
    """
    import ziglang  # the tests read the list of platforms where it is not installed

    made = BUILD / tag
    shutil.rmtree(made, ignore_errors=True)
    defines = {
        "CMAKE_TOOLCHAIN_FILE": ROOT / ".ci" / "zig.cmake",
        "ZIG": Path(ziglang.__file__).parent / "zig",
        "ZIG_TARGET": PLATFORMS[tag],
    }
    settings = [f"-Ccmake.define.{name}={value}" for name, value in defines.items()]
    # Read by scikit-build-core, as by every build backend for another platform: the wheel's tag.
    platform = re.sub(r"^manylinux_\d+_\d+_", "linux_", tag)
    options = ("--no-isolation", "--wheel", "--outdir", made, *settings, f"-Cbuild-dir={made / 'build'}")
    run("build", *options, source, _PYTHON_HOST_PLATFORM=platform)
    (wheel,) = made.glob("*.whl")
    if "manylinux" in tag:
        run("auditwheel", "repair", "--plat", "auto", "--only-plat", "--wheel-dir", dist, wheel)
        if not list(dist.glob(f"*{tag}.whl")):
            raise SystemExit(f"the wheel must be of {tag}, got {', '.join(path.name for path in dist.glob('*.whl'))}")
    elif "macos" in tag:
        hide_symbols(wheel, made, dist)
    else:
        wheel.rename(dist / wheel.name)


def main() -> None:
    """Builds what the command line names."""
    parser = argparse.ArgumentParser(description="Builds the sdist and the wheels in dist/.")
    parser.add_argument("platforms", nargs="*", metavar="PLATFORM", help=f"default: {' '.join(PLATFORMS)}")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", metavar="FOLDER", help="default: dist/")
    given = parser.parse_args()
    platforms, dist = given.platforms or PLATFORMS, given.dist
    if unknown := sorted(set(platforms) - set(PLATFORMS)):
        parser.error(f"PLATFORM must be one of {', '.join(PLATFORMS)}, got {unknown[0]}")
    source = BUILD / "source"
    unpack(build_sdist(ROOT, BUILD / "sdist"), source)
    if url := os.environ.get("ONNX_ROIALIGN_URL"):
        add_links(source, url.rstrip("/"))
    build_sdist(source, dist)
    for tag in platforms:
        build_wheel(source, tag, dist)
    run("twine", "check", "--strict", *sorted(dist.glob(BUILT)))


if __name__ == "__main__":
    main()

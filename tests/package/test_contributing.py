"""Tests that CONTRIBUTING.md and the READMEs' maps name all files and folders, and only names that exist."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

FOLDERS = ("conformance", "kernels", "models", "onnx_roialign", "tests")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md"])
def test_every_path_exists(document):
    paths = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./]*)`", text_of(document)))
    assert len(paths) > 9
    assert [path for path in paths if not (ROOT / path).exists() and "NAME" not in path] == []


def test_the_readmes_map_has_every_folder_of_sources():
    table = text_of("README.md").split("## Map of the code")[1].split("\n## ")[0]
    listed = set(re.findall(r"(\w+)/`", table))
    folders = set()
    for top in ("conformance", "kernels", "onnx_roialign", "onnx_roialign/graph"):
        folders |= {path.name for path in (ROOT / top).iterdir() if path.is_dir() and any(path.glob("*.*"))}
    assert folders - listed - {"__pycache__"} == set()


# Document -> the heading of the map of its folder's files.
MAPS = {"kernels/README.md": "| file | its job |", "conformance/README.md": "| file | contents |"}


@pytest.mark.parametrize("document", MAPS)
def test_a_map_has_every_source_of_its_folder_and_nothing_else(document):
    top = (ROOT / document).parent
    table = text_of(document).split(MAPS[document])[1].split("\n\n")[0]
    listed = set()
    for row in re.findall(r"^\| (`.+?`) \|", table, re.M):
        folder = ""
        for name in re.findall(r"`([^`]+)`", row):
            # a name alone lies in the folder of the one before it, or at the top
            folder = name.rpartition("/")[0] or folder
            pattern = name.rpartition("/")[2] or "**/*"
            found = set((top / folder).glob(pattern)) or set(top.glob(pattern))
            assert found, name
            listed |= found
    sources = {path for path in top.rglob("*") if path.suffix in {".cpp", ".h", ".inl", ".mjs", ".py"}}
    assert {str(path) for path in sources - listed if not path.name.startswith("__")} == set()


def test_every_table_is_in_the_file_beside_it():
    named = re.findall(r"`(\w+)` \(`([\w/.]+\.py)`\)", text_of("CONTRIBUTING.md"))
    assert {"PRESETS", "OPS", "CODES"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"^{name}\b.* = ", text_of(path), re.M), (name, path)

"""Tests that a field of Semantics is handled in all places that CONTRIBUTING.md lists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from field_places import PLACES, ROOT

from onnx_roialign import PRESETS, Semantics
from onnx_roialign.definition.semantics import FIELDS
from onnx_roialign.identification import result


@pytest.mark.parametrize("place", PLACES)
def test_every_field_is_known_to(place):
    assert [field for field in FIELDS if not PLACES[place](field)] == []


def test_identify_tries_the_values_of_the_presets():
    assert set(result.FIELDS) == set(FIELDS)
    for field, values in result.FIELDS.items():
        assert getattr(Semantics(), field) in values
        assert {getattr(preset, field) for preset in PRESETS.values()} <= set(values)


@pytest.mark.parametrize(
    ("new", "spared"),
    [
        ("twist: float = 0.0", set()),
        # a text needs no bound, and is drawn by its own strategy
        ('twist: Literal["none", "left"] = "none"', {"kernels/checks.cpp", "tests/support/meanings.py"}),
    ],
)
def test_a_new_field_is_missed_at_every_place(tmp_path, new, spared):
    for folder in ("onnx_roialign", "kernels", "tests/support", "tests/definition"):
        ignored = shutil.ignore_patterns("__pycache__", "conformance", "models", "*.so")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    source = tmp_path / "onnx_roialign/definition/semantics.py"
    last = '    border: Literal["inclusive", "exclusive"] = "inclusive"\n'
    text = source.read_text(encoding="utf-8")
    assert last in text
    source.write_text(text.replace(last, f"{last}    {new}\n"), encoding="utf-8")
    # an empty configuration: the copy's own folders come first
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = . tests/support\n", encoding="utf-8")
    # the installed package's plugin belongs to its conformance suite, which the copy does not contain
    without = ("-p", "no:cacheprovider", "-p", "no:onnx-roialign-conformance")
    command = (sys.executable, "-m", "pytest", "-q", "-rf", *without, "tests/definition/test_fields.py")
    done = subprocess.run(
        (*command, "-k", "known_to"), cwd=tmp_path, check=False, capture_output=True, text=True, timeout=200
    )
    missed = set(re.findall(r"^FAILED .*known_to\[(.*?)\]", done.stdout, re.M))
    assert missed == set(PLACES) - spared, done.stdout + done.stderr


def test_contributing_lists_these_places():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## To add a field of `Semantics`\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^- `([^`]+)`", section, re.M)) == {"onnx_roialign/definition/semantics.py", *PLACES}

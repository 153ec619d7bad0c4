"""The cases kill every mutant, and the page that says so is up to date."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from onnx_roialign.conformance.case import Tier
from onnx_roialign.conformance.kills import PAGE, fails, kill_table, minimal_set, page, proving_cases
from onnx_roialign.conformance.mutants import field_mutants, mutants
from onnx_roialign.conformance.mutants.making import mutant
from onnx_roialign.conformance.plain import HALF_PIXEL, OUTPUT_HALF_PIXEL, PlainRoiAlign
from onnx_roialign.definition.semantics import CHOICES, FIELDS, PRESETS

pytestmark = pytest.mark.timeout(1200)  # 50 s on two free cores


@pytest.fixture(scope="module")
def table():
    return kill_table()


def test_the_correct_roi_align_fails_no_case():
    assert [case.id for case in proving_cases() if fails(PlainRoiAlign(), case)] == []


@pytest.mark.long
def test_every_mutant_fails_a_spec_or_settled_case(table):
    assert [name for name, ids in table.items() if not ids] == []


@pytest.mark.long
def test_the_page_is_up_to_date(table):
    assert PAGE.read_text(encoding="utf-8") == page(table), "run python -m onnx_roialign.conformance.kills"


@pytest.mark.long
def test_few_cases_kill_all(table):
    few = minimal_set(table)
    assert all(set(few) & set(ids) for ids in table.values())
    assert len(few) < len(proving_cases()) / 10


def test_only_spec_and_settled_cases_count():
    assert {case.tier for case in proving_cases()} == {Tier.SPEC, Tier.SETTLED}


def test_names_are_unique_and_there_are_many_errors():
    names = Counter(made.name for made in mutants())
    assert max(names.values()) == 1
    assert len(names) >= 200
    assert all(re.fullmatch(r"[a-z-]+/\S+", name) for name in names)


def test_every_field_of_semantics_has_a_mutant_for_each_wrong_value():
    assert tuple(HALF_PIXEL) == tuple(OUTPUT_HALF_PIXEL) == FIELDS
    names = {made.name for made in field_mutants()}
    for name in FIELDS:
        values = set(CHOICES.get(name, ())) | {getattr(preset, name) for preset in PRESETS.values()}
        wrong = {value for value in values if {value} != {HALF_PIXEL[name], OUTPUT_HALF_PIXEL[name]}}
        assert wrong
        assert {f"semantics/{name}-{value}" for value in wrong} <= names


def test_a_mutant_without_an_error_survives_and_is_in_the_table():
    idle = mutant("idle/nothing", size=lambda self, a: PlainRoiAlign.size(self, a))
    assert not any(fails(idle.make(), case) for case in proving_cases())


def test_a_mutant_that_raises_fails():
    broken = mutant("broken/raises", pool=lambda self, *arguments: 1 / 0)
    assert fails(broken.make(), next(case for case in proving_cases() if case.id == "sampling/samples-on-pixels"))


def test_the_plain_roi_align_uses_no_code_of_the_package():
    source = (PAGE.parent / "plain.py").read_text(encoding="utf-8")
    assert re.findall(r"^(?:from|import) (\S+)", source, re.M) == [
        "__future__",
        "math",
        "collections.abc",
        "dataclasses",
        "typing",
        "numpy",
        "numpy.typing",
    ]
    assert np.isfinite(PlainRoiAlign().run(np.ones((1, 1, 4, 4), np.float32), np.ones((1, 4)), [0], 16, {})).all()

"""Tests files of known deviations: declared deviations are known, and an entry that does not apply is an error."""

from __future__ import annotations

import json

import pytest

from onnx_roialign import RoiAlignError
from onnx_roialign.conformance.backends import backend_names
from onnx_roialign.conformance.case import Tier
from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.known import Deviation, applied, read_known
from onnx_roialign.conformance.process import Identity
from onnx_roialign.conformance.result import Result, Run, Status
from onnx_roialign.conformance.runner import scored
from onnx_roialign.conformance.verdict import fails, passes

FAIL = Result("a/one", Status.FAIL, "wrong")
PASS = Result("a/two", Status.PASS)
LACKS = Result("b/three", Status.UNSUPPORTED, "no kernel")
IDS = ("a/one", "a/two", "b/three")


def entry(case, *statuses, versions=()):
    return Deviation(case, statuses or (Status.FAIL,), "because", "https://example.org/1", versions)


def test_a_declared_deviation_is_known_and_has_the_reason_and_the_link():
    results, lines = applied([FAIL, PASS], [entry("a/one")], "1.0", IDS)
    assert [result.known for result in results] == ["because https://example.org/1", ""]
    assert lines == ()
    assert not fails(results[0])


@pytest.mark.parametrize(
    ("declared", "line"),
    [
        (entry("a/two"), "a/two: declared as fail, but a/two passes now"),
        (entry("a/one", Status.HUNG), "a/one: declared as hung, but a/one is fail: wrong"),
        (entry("a/gone"), "a/gone: declared as fail, but no case has this name"),
        (entry("a/*"), "a/*: declared as fail, but a/two passes now"),
        (entry("c/*"), "c/*: declared as fail, but no case has this name"),
    ],
)
def test_a_wrong_entry_gives_a_line(declared, line):
    _, lines = applied([FAIL, PASS], [declared], "1.0", IDS)
    assert lines == (line,)


def test_an_entry_may_name_a_case_that_did_not_run():
    assert applied([PASS], [entry("a/gone")], "1.0", None)[1] == ()
    assert applied([PASS], [entry("a/one")], "1.0", IDS)[1] == ()  # a case of the suite that did not run


def test_an_entry_may_hold_for_versions():
    of_others = entry("a/one", versions=("1.2", "2."))
    assert applied([FAIL], [of_others], "1.20.0", IDS)[0][0].known
    assert applied([FAIL], [of_others], "3.0", IDS)[0][0].known == ""
    assert applied([FAIL], [entry("a/gone", versions=("2.",))], "3.0", IDS)[1] == ()


def test_an_entry_may_have_several_statuses():
    either = entry("a/one", Status.HUNG, Status.EXHAUSTED)
    for status in (Status.HUNG, Status.EXHAUSTED):
        results, lines = applied([Result("a/one", status, "")], [either], "1.0", IDS)
        assert results[0].known
        assert lines == ()
    assert applied([FAIL], [either], "1.0", IDS)[1] == (
        "a/one: declared as hung or exhausted, but a/one is fail: wrong",
    )


def test_with_a_file_unsupported_cases_must_be_declared():
    _, lines = applied([LACKS], [], "1.0", IDS)
    assert lines == ("b/three: unsupported, which no known deviation declares",)
    assert applied([LACKS], [entry("b/*", Status.UNSUPPORTED)], "1.0", IDS)[1] == ()


def verdict(*results, entries=None):
    class Any:
        tier = Tier.SPEC

    class Contested:
        tier = Tier.CONTESTED

    cases = {**dict.fromkeys(IDS, Any), "contested/x": Contested}
    return passes(scored(Identity("made", "1", {}), results, entries, IDS), cases)


def test_a_run_passes_only_if_something_passed_and_nothing_failed():
    assert verdict(PASS)
    assert verdict(PASS, LACKS)
    assert verdict(FAIL, PASS, entries=[entry("a/one")])
    assert not verdict(FAIL, PASS)
    assert not verdict(LACKS)
    assert not verdict()
    assert not verdict(Result("contested/x", Status.PASS, "", "A"), LACKS)
    assert not verdict(PASS, LACKS, entries=[])
    assert not verdict(PASS, entries=[entry("a/gone")])
    for status in (Status.CRASHED, Status.HUNG, Status.EXHAUSTED):
        assert not verdict(PASS, Result("a/one", status, ""))


def test_a_wrong_entry_fails_a_run_of_passes():
    assert not passes(Run("made", "1", (PASS,), ("wrong",)), {"a/two": all_cases()[0]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"--known must be a file of known deviations, got '.*known.json' \(Expecting"),
        ("[]", r'--known must be a file with a list "deviations", got \[\] in '),
        ('{"deviations": [3]}', r"a known deviation must be an object with case, status, reason and at most link, "),
        ('{"deviations": [{"case": "a", "status": "fail"}]}', r"got \{'case': 'a', 'status': 'fail'\} \(entry 0 of "),
        ('{"deviations": [{"case": "a", "status": "fail", "reason": ""}]}', "must hold texts that are not empty, got "),
        (
            '{"deviations": [{"case": "a", "status": "pass", "reason": "r"}]}',
            "the status of a known deviation must be one of fail, unsupported, crashed, hung, exhausted, got 'pass'",
        ),
        ('{"deviations": [{"case": "a", "status": "fail", "reason": "r", "versions": "1"}]}', "must hold texts that"),
        (
            '{"deviations": [{"case": "a", "status": "fail", "reason": "r", "since": "1"}]}',
            "at most link, versions, got",
        ),
    ],
)
def test_a_file_of_another_form_gives_one_line(tmp_path, content, message):
    path = tmp_path / "known.json"
    path.write_text(content)
    with pytest.raises(RoiAlignError, match=message) as caught:
        read_known(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_gives_one_line(tmp_path):
    with pytest.raises(RoiAlignError, match=r"--known must be a file of known deviations, got '.*none' \(\[Errno 2\]"):
        read_known(tmp_path / "none")


def test_every_file_of_the_suite_is_of_a_backend_and_names_cases():
    import onnx_roialign.conformance.known as module

    folder = module.Path(module.__file__).with_name("known")
    files = sorted(folder.glob("*.json"))
    assert {"native", "reference", "python-op", "builtin", "onnx-reference"} <= {path.stem for path in files}
    ids = [case.id for case in all_cases()]
    for path in files:
        assert path.stem in backend_names()
        entries = read_known(path)
        _, lines = applied([], entries, entries[0].versions[0] if entries and entries[0].versions else "", ids)
        assert lines == ()
        assert json.loads(path.read_text())

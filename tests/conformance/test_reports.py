"""The reports of a conformance run: one document, its schema, JUnit, Markdown, the page, and comparisons."""

from __future__ import annotations

import html.parser
import json
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree as ET

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import helper

from onnx_roialign.conformance.case import Case, Outcome, Tier, Tolerance
from onnx_roialign.conformance.reports import document as documents
from onnx_roialign.conformance.reports.compare import changes
from onnx_roialign.conformance.reports.html import html as html_page
from onnx_roialign.conformance.reports.junit import junit
from onnx_roialign.conformance.reports.markdown import markdown
from onnx_roialign.conformance.result import Result, Run, Status
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics, from_onnx
from onnx_roialign.errors import RoiAlignError

HOSTILE = "<script>alert('x')</script> | \x00 \x1b[31m ]]> & \"quoted\""


def made_case(id_, tier=Tier.SPEC, opset=16, sides=(), **attributes):
    rng = np.random.default_rng(7)
    X = (rng.integers(-8, 8, (2, 2, 12, 16)) / 4).astype(np.float32)
    arrays = {
        "X": X,
        "rois": np.array([[1, 2, 9.3, 7.6], [-3, 0.5, 3.2, 20]], np.float32),
        "batch_indices": np.array([1, 0]),
    }
    inputs = [helper.make_tensor_value_info(name, 7 if name[0] == "b" else 1, a.shape) for name, a in arrays.items()]
    node = helper.make_node("RoiAlign", list(arrays), ["Y"], **attributes)
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("Y", 1, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    meaning = Attributes(**attributes, semantics=from_onnx(opset, None))

    def computed(semantics):
        return {"Y": reference.roi_align(*arrays.values(), replace(meaning, semantics=semantics))}

    outcomes = [(computed(Semantics(**fields)), name) for name, fields in sides] or [(computed(meaning.semantics), "")]
    case = Case(
        id_,
        f"A clause about {id_}.",
        tier,
        "a test",
        model,
        arrays,
        tuple(Outcome(outputs, name) for outputs, name in outcomes),
        Tolerance(16, "float32 in any order"),
    )
    return case, computed


GRID, grid = made_case("adaptive/grid", output_height=3, output_width=2)
MAXIMUM, _ = made_case("maxima/of-corners", Tier.SETTLED, mode="max", sampling_ratio=1, output_height=2, output_width=2)
EMPTY, _ = made_case("bins/without-samples", Tier.CONTESTED, sides=[("zero", {}), ("nan", {"empty": "nan"})])
BAD, _ = made_case("robust/batch-index", Tier.ROBUST, output_height=2, output_width=2)
CASES = (GRID, MAXIMUM, EMPTY, BAD)


def made_run(name="runtime", version="1.0", **changed):
    results = {case.id: Result(case.id, Status.PASS, ulps=0.5) for case in CASES}
    results[EMPTY.id] = Result(EMPTY.id, Status.PASS, side="nan")
    results |= {result.case: result for result in changed.pop("results", ())}
    return Run(name, version, tuple(results.values()), **changed)


def wrong(**fields):
    got = grid(Semantics(**fields))
    return Result(GRID.id, Status.FAIL, "Y must be 1, got 2 at (0, 0, 0, 0)", ulps=4e5, got=got)


@pytest.fixture
def both():
    return documents.document(
        CASES,
        [made_run(), made_run(version="2.0", results=[wrong(offset=0.0), Result(BAD.id, Status.CRASHED, "SIGSEGV")])],
    )


def schema():
    text = files("onnx_roialign.conformance.reports").joinpath("document.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def test_a_document_satisfies_its_schema_and_is_read_as_it_was_written(both, tmp_path):
    documents.write(both, tmp_path / "report.json")
    assert documents.read(tmp_path / "report.json") == both
    jsonschema.Draft202012Validator(schema()).validate(json.loads((tmp_path / "report.json").read_text()))


def test_the_schema_names_every_key_status_and_tier(both):
    top = schema()["properties"]
    case, run = top["cases"]["items"], top["runs"]["items"]
    result = run["properties"]["results"]["items"]
    written = both["runs"][1]
    wrong_result = next(entry for entry in written["results"] if entry["differences"])
    for described, entry in (
        (schema(), both),
        (case, both["cases"][0]),
        (run, written),
        (result, wrong_result),
        (result["properties"]["differences"]["items"], wrong_result["differences"][0]),
    ):
        assert set(described["required"]) == set(described["properties"]) == set(entry)
    assert schema()["$defs"]["status"]["enum"] == [status.value for status in Status]
    assert case["properties"]["tier"]["enum"] == [tier.value for tier in Tier]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "'list'"),
        ('{"format": "another"}', "'another'"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path, content, found):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(RoiAlignError, match=f"must be a report that conform --json wrote.*{found}"):
        documents.read(path)


def test_a_report_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(
        RoiAlignError, match="must be a report that conform --json wrote, got 'No such file or directory'"
    ):
        documents.read(tmp_path / "none.json")


def test_the_largest_differences_come_first_and_numbers_that_json_lacks_are_texts():
    got = grid(Semantics())["Y"].copy()
    got[1, 1, 2, 1], got[0, 0, 1, 0], got[0, 1, 0, 0] = np.nan, np.inf, got[0, 1, 0, 0] + 1
    result = Result(GRID.id, Status.FAIL, "", got={"Y": got})
    (entry,) = [
        one
        for one in documents.document(CASES, [made_run(results=[result])])["runs"][0]["results"]
        if one["differences"]
    ]
    assert [(one["at"], one["got"]) for one in entry["differences"][:2]] == [
        ([0, 0, 1, 0], "inf"),
        ([1, 1, 2, 1], "nan"),
    ]
    assert entry["differences"][2]["at"] == [0, 1, 0, 0]
    assert len(entry["differences"]) == 3


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"offset": 0.0}, "offset=0"),
        ({"adaptive": "floor"}, "adaptive='floor'"),
        ({"offset": 0.0, "end_shift": 1.0}, "offset=0, end_shift=1"),
    ],
)
def test_a_wrong_output_is_explained_by_the_fields_that_it_has_other_values_of(fields, told):
    run = documents.document(CASES, [made_run(results=[wrong(**fields)])])["runs"][0]
    assert next(entry["instead"] for entry in run["results"] if entry["case"] == GRID.id) == told


def test_an_output_that_no_semantics_explains_is_not_explained():
    result = Result(GRID.id, Status.FAIL, "", got={"Y": grid(Semantics())["Y"] * 0.9})
    run = documents.document(CASES, [made_run(results=[result])])["runs"][0]
    assert all(not entry["instead"] for entry in run["results"])


def test_documents_are_joined_unless_two_runs_could_not_be_told_apart(both):
    other = documents.document(CASES, [made_run("another")])
    assert [run["backend"] for run in documents.joined([both, other])["runs"]] == ["runtime", "runtime", "another"]
    with pytest.raises(RoiAlignError, match=r"runs must differ in backend or version, got runtime 1\.0 twice"):
        documents.joined([both, both])


def test_a_comparison_names_what_got_worse_and_what_got_better():
    before = documents.document(CASES, [made_run()])
    worse = made_run(version="2.0", results=[wrong(offset=0.0)])
    (change,) = changes(before, documents.document(CASES, [worse]))
    assert (change.case, change.before, change.after, change.worse) == (GRID.id, "pass", "fail", True)
    assert change.backend == "runtime 1.0 -> runtime 2.0"
    (change,) = changes(documents.document(CASES, [worse]), before)
    assert (change.before, change.after, change.worse) == ("fail", "pass", False)
    assert not list(changes(before, before))


def test_a_comparison_sees_another_side_and_a_case_that_is_gone():
    before = documents.document(CASES, [made_run()])
    turned = made_run(results=[Result(EMPTY.id, Status.PASS, side="zero")])
    (change,) = changes(before, documents.document(CASES, [turned]))
    assert (change.before, change.after, change.worse) == ("pass (nan)", "pass (zero)", False)
    fewer = documents.document(CASES[:3], [replace(made_run(), results=made_run().results[:3])])
    (change,) = changes(before, fewer)
    assert (change.case, change.after, change.worse) == (BAD.id, "absent", True)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PASS])
def test_junit_has_a_test_for_each_case_and_counts_as_ci_services_do(status):
    run = made_run(results=[Result(GRID.id, status, HOSTILE)], wrong_entries=("an entry of no case",))
    suite = ET.fromstring(junit(documents.document(CASES, [run]))).find("testsuite")
    assert suite is not None
    assert int(suite.get("tests", "")) == len(suite.findall("testcase")) == len(CASES) + 1
    expected = {"failures": status is Status.FAIL, "skipped": status is Status.UNSUPPORTED}
    for key, one in expected.items():
        assert int(suite.get(key, "")) == len(suite.findall(f"testcase/{key.removesuffix('s')}")) == one
    assert int(suite.get("errors", "")) == len(suite.findall("testcase/error")) == 2 - sum(expected.values())


def test_junit_skips_a_known_deviation():
    known = replace(wrong(offset=0.0), known="reported upstream")
    (skipped,) = ET.fromstring(junit(documents.document(CASES, [made_run(results=[known])]))).iter("skipped")
    assert skipped.get("message") == "reported upstream"


def test_markdown_has_a_row_for_each_run_and_a_line_for_each_cause(both):
    lines = markdown(both).splitlines()
    assert "| runtime 1.0 | 1 of 1 | 1 of 1 | 1 of 1 | 1 of 1 | 0 |" in lines
    assert "| runtime 2.0 | 0 of 1 | 1 of 1 | 1 of 1 | 0 of 1 | 0 |" in lines
    found = [line for line in lines if line.startswith("- ")]
    assert found[0].startswith(f"- **fail** `{GRID.id}`: RoiAlign with offset=0: ")
    assert found[1] == f"- **crashed** `{BAD.id}`: SIGSEGV"


def test_markdown_keeps_foreign_text_in_its_cell():
    run = made_run(name="a|b", results=[Result(GRID.id, Status.FAIL, HOSTILE)])
    text = markdown(documents.document(CASES, [run]))
    assert "| a\\|b 1.0 |" in text
    assert "<script>" not in text


class Page(html.parser.HTMLParser):
    """Collects ids, addresses and tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.scripts, self.open, self.text = [], [], 0, [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.scripts += tag == "script"
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_self_contained_and_shows_every_case_and_deviation(both):
    page = Page(html_page(both, CASES))
    assert page.open == []
    assert [id_ for id_ in page.ids if "/" in id_] == [case.id for case in CASES]
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} == {GRID.id, BAD.id}
    for text in ("offset=0", "SIGSEGV", "onnx-roialign conform --backend runtime --case adaptive/grid"):
        assert text in page.text
    assert "sample points (orange), the bin of the first wrong value (filled)" in page.text


def test_the_page_escapes_foreign_text():
    run = made_run(name=HOSTILE, results=[Result(GRID.id, Status.FAIL, HOSTILE)], wrong_entries=(HOSTILE,))
    page = Page(html_page(documents.document(CASES, [run]), CASES))
    assert page.scripts == 1
    assert "<script>alert('x')</script>" in page.text


def test_the_page_of_documents_without_the_cases_has_no_inputs_and_no_pictures(both):
    text = html_page(both)
    assert "<svg" not in text
    assert "<summary>Inputs</summary>" not in text
    assert Page(text).open == []


def test_a_model_of_several_nodes_is_drawn_without_a_picture(both):
    model = onnx.ModelProto()
    model.CopyFrom(GRID.model)
    model.graph.node.append(helper.make_node("Identity", ["Y"], ["Z"]))
    text = html_page(both, [replace(GRID, model=model)])
    assert text.count("<svg") == 0
    assert "<summary>Inputs</summary>" in text


def test_of_several_explanations_the_one_of_most_outputs_is_told():
    """A RoI of 1 pixel without minimum size is one of offset 0 too; others tell them apart."""
    other, computed = made_case("adaptive/finer", output_height=5, output_width=4)
    results = [wrong(end_shift=1.0), Result(other.id, Status.FAIL, got=computed(Semantics(end_shift=1.0)))]
    run = replace(made_run(), results=tuple(results))
    written = documents.document([GRID, other], [run])["runs"][0]
    assert [entry["instead"] for entry in written["results"]] == ["end_shift=1", "end_shift=1"]


def test_an_error_that_is_no_field_is_told_by_its_name():
    result = Result(GRID.id, Status.FAIL, "", got={"Y": np.ascontiguousarray(grid(Semantics())["Y"][:, ::-1])})
    run = documents.document(CASES, [made_run(results=[result])])["runs"][0]
    told = next(entry["instead"] for entry in run["results"] if entry["case"] == GRID.id)
    assert told == "the error output/channels-reversed"


def test_a_case_whose_inputs_have_no_picture_is_drawn_without_one(both):
    inputs = dict(GRID.inputs) | {"X": GRID.inputs["X"][0]}
    assert "<svg" not in html_page(both, [replace(GRID, inputs=inputs)])

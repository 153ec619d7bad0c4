"""The reports of a conformance run: one document, its schema, JUnit, Markdown, the page, and comparisons."""

from __future__ import annotations

import base64
import html.parser
import json
import re
import shlex
import shutil
import subprocess
import zlib
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree as ET

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import helper

from onnx_roialign.conformance.case import Case, Outcome, Tier, Tolerance
from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.reports import document as documents
from onnx_roialign.conformance.reports.causes import causes
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
        ('{"format": "onnx_roialign conformance 1"}', "KeyError: 'cases'"),
        ('{"format": "onnx_roialign conformance 1", "cases": [3], "runs": []}', "AttributeError"),
        (
            '{"format": "onnx_roialign conformance 1", "cases": [], '
            '"runs": [{"backend": "x", "results": [{"case": "a/b"}]}]}',
            "KeyError: 'a/b'",
        ),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path, content, found):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(RoiAlignError, match=f"must be a report that conform --json wrote.*{re.escape(found)}"):
        documents.read(path)


def test_a_report_without_the_keys_of_later_versions_is_read(both, tmp_path):
    older = json.loads(json.dumps(both))
    for case in older["cases"]:
        del case["requires"], case["size"]
    for run in older["runs"]:
        del run["options"]
    (tmp_path / "old.json").write_text(json.dumps(older))
    read = documents.read(tmp_path / "old.json")
    assert read["runs"][0]["options"] == ["--backend", "runtime"]
    assert "runtime 2.0" in markdown(read)
    assert content(html_page(read))["cases"][0]["requires"] == []


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


def test_markdown_names_the_smallest_case_of_a_cause_and_who_takes_which_side(both):
    small = replace(MAXIMUM, id="zoo/small", inputs={"X": GRID.inputs["X"][:1, :1, :2, :2]})
    results = [Result(id_, Status.FAIL, "no idea") for id_ in (GRID.id, small.id)]
    lines = markdown(documents.document([GRID, small], [Run("runtime", "3.0", tuple(results))])).splitlines()
    assert "- **fail** `zoo/small` and 1 more: no idea" in lines
    assert markdown(both).splitlines()[-1] == f"- `{EMPTY.id}`: **nan**: runtime 1.0, runtime 2.0"


def test_markdown_names_a_side_that_few_runtimes_take(both):
    other = made_run("other", results=[Result(EMPTY.id, Status.PASS, side="zero")])
    lines = markdown(documents.joined([both, documents.document(CASES, [other])])).splitlines()
    line = f"- **contested** `{EMPTY.id}`: zero, as 1 of 3 runtimes here"
    assert lines.count(line) == 1
    assert lines.index(line) > lines.index("## other 1.0")
    assert not any("**contested**" in line for line in markdown(both).splitlines())


def test_markdown_names_each_runtime_that_refuses_where_others_return_a_result(both):
    others = [made_run(name, results=[Result(EMPTY.id, Status.PASS, "no grid", "refused")]) for name in ("a", "b", "c")]
    joined = documents.joined([both, documents.document(CASES, others)])
    line = f"- **contested** `{EMPTY.id}`: no grid (2 of 5 runtimes here return a result)"
    assert markdown(joined).splitlines().count(line) == 3


def test_of_two_explanations_it_is_the_one_that_fails_no_case_that_the_runtime_passes():
    by_id = {case.id: case for case in all_cases()}
    case = by_id["types/float32-keeps-subnormal-features"]
    zeros = [[(case, {"Y": np.zeros((2, 1, 2, 2), np.float32)})]]
    (text,) = causes(zeros, [by_id[f"types/float32-keeps-{what}-features"] for what in ("large", "small")])
    assert text == "the error type/subnormal-features-as-0"
    assert causes(zeros) != [text]


def test_wrong_types_are_told_apart_and_a_long_text_is_cut():
    texts = ["Y must be of type float16, got float32", "Y must be of type float64, got float32", "x" * 999]
    results = [Result(case.id, Status.FAIL, text) for case, text in zip(CASES, texts, strict=False)]
    found = [
        line
        for line in markdown(documents.document(CASES, [made_run(results=results)])).splitlines()
        if line[:1] == "-"
    ]
    assert [line.partition("`: ")[2] for line in found[:3]] == [*texts[:2], "x" * 240 + "…"]


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


def content(text):
    """What the page's script reads: the packed JSON."""
    found = re.search(r'<script type="text/plain" id="data">([^<]*)</script>', text)
    return json.loads(zlib.decompress(base64.b64decode(found.group(1))))


def test_the_page_is_self_contained_and_links_to_every_deviation(both):
    page = Page(html_page(both, CASES))
    assert page.open == []
    assert {link[1:] for link in page.links} == {GRID.id, BAD.id}
    assert all(link.startswith("#") for link in page.links)
    assert "RoiAlign with offset=0" in page.text
    assert "SIGSEGV" in page.text


def test_the_page_holds_every_case_and_result(both):
    data = content(html_page(both, CASES))
    assert [case["id"] for case in data["cases"]] == [case.id for case in CASES]
    assert [run["name"] for run in data["runs"]] == ["runtime 1.0", "runtime 2.0"]
    grid_case, maximum, empty, bad = data["cases"]
    right, wrong_cell = grid_case["cells"]
    assert right == {"status": "pass"}
    assert data["texts"][wrong_cell["instead"]] == "offset=0"
    entry = next(one for one in both["runs"][1]["results"] if one["case"] == GRID.id)
    assert (wrong_cell["ulps"], len(wrong_cell["values"])) == ("4e+05", len(entry["differences"]))
    assert [bad["cells"][1][key] for key in ("status",)] == ["crashed"]
    assert empty["outcomes"][empty["cells"][0]["side"]] == "nan"
    assert "inputs" not in maximum  # it passes everywhere
    arrays = {name: data["arrays"][index] for name, index in grid_case["inputs"]}
    for name, array in GRID.inputs.items():
        assert (arrays[name]["type"], arrays[name]["shape"]) == (str(array.dtype), list(array.shape))
        read = np.array(arrays[name]["values"].split(), float).astype(array.dtype)
        assert np.array_equal(read, array.ravel()[: len(read)])
    assert [index for _, index in bad["inputs"]] == [index for _, index in grid_case["inputs"]]  # equal ones are shared
    at = entry["differences"][0]["at"]
    drawn = grid_case["picture"]
    assert (drawn["roi"], drawn["wrong"], drawn["y"][0], drawn["x"][3]) == (at[0], at[2:], 12, 2)


@pytest.mark.parametrize(
    ("expected", "got", "told"),
    [
        (0.0832291667, 0.0832293704, ("0.0832292", "0.0832294")),
        (1.0, 2.0, ("1", "2")),
        (1.0, "nan", ("1", "nan")),
        (1 / 3, 1 / 3 + 2**-53, ("0.33333333333333331", "0.33333333333333343")),
    ],
)
def test_numbers_have_as_few_digits_as_tell_them_apart(both, expected, got, told):
    difference = next(one for one in both["runs"][1]["results"] if one["differences"])["differences"][0]
    difference.update(expected=expected, got=got)
    data = content(html_page(both, CASES))
    assert tuple(data["cases"][0]["cells"][1]["values"][0][2:]) == told


def test_the_page_has_the_command_that_repeats_a_result():
    options = ("--worker", "node 'my worker.mjs'", "--timeout", "5.0")
    data = content(html_page(documents.document(CASES, [made_run(options=options)]), CASES))
    case = data["cases"][0]
    command = f"{data['runs'][0]['command']} {case['quoted']}"
    assert shlex.split(command) == ["onnx-roialign", "conform", *options, "--case", GRID.id]


def test_the_page_escapes_foreign_text():
    run = made_run(name=HOSTILE, results=[Result(GRID.id, Status.FAIL, HOSTILE)], wrong_entries=(HOSTILE,))
    text = html_page(documents.document(CASES, [run]), CASES)
    page = Page(text)
    assert page.scripts == 2
    assert "<script>alert('x')</script>" in page.text
    assert HOSTILE in content(text)["texts"]


def test_the_page_of_documents_without_the_cases_has_no_inputs_and_no_pictures(both):
    assert all("inputs" not in case and "picture" not in case for case in content(html_page(both))["cases"])


@pytest.mark.parametrize("change", ["two nodes", "three dimensions", "a RoI at infinity"])
def test_a_case_that_cannot_be_drawn_has_inputs_and_no_picture(both, change):
    model, inputs = onnx.ModelProto(), dict(GRID.inputs)
    model.CopyFrom(GRID.model)
    if change == "two nodes":
        model.graph.node.append(helper.make_node("Identity", ["Y"], ["Z"]))
    elif change == "three dimensions":
        inputs["X"] = inputs["X"][0]
    else:
        inputs["rois"] = np.full((2, 4), np.inf, np.float32)
    case = content(html_page(both, [replace(GRID, model=model, inputs=inputs)]))["cases"][0]
    assert case["picture"] is None
    assert len(case["inputs"]) == 3


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
@pytest.mark.timeout(120)
def test_a_browser_draws_the_matrix_and_opens_the_linked_case(both, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(html_page(both, CASES))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", f"file://{path}#{GRID.id}"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    page = Page(done.stdout)
    assert [id_ for id_ in page.ids if "/" in id_] == [case.id for case in CASES]
    for text in (GRID.clause, "It computes RoiAlign with offset=0.", "Largest difference: 4e+05 ULP.", "4 of 4 cases"):
        assert text in page.text
    assert "sample points (orange), the bin of the largest difference (filled)" in page.text
    assert "<path" in done.stdout


def test_of_several_explanations_the_one_of_most_outputs_is_told():
    """A RoI of 1 pixel without minimum size is one of offset 0 too; others tell them apart."""
    other, computed = made_case("adaptive/finer", output_height=5, output_width=4)
    results = [wrong(end_shift=1.0), Result(other.id, Status.FAIL, got=computed(Semantics(end_shift=1.0)))]
    run = replace(made_run(), results=tuple(results))
    written = documents.document([GRID, other], [run])["runs"][0]
    assert [entry["instead"] for entry in written["results"]] == ["end_shift=1", "end_shift=1"]


def test_the_rule_and_the_start_of_a_maximum_are_one_cause():
    """An output of 0 alone also fits errors that leave channels out: what explains all of them is told."""
    negative = -np.abs(MAXIMUM.inputs["X"]) - 1
    both_signs, computed = made_case("maxima/more", Tier.SETTLED, mode="max", sampling_ratio=2, output_width=3)
    below, _ = made_case("maxima/below", Tier.SETTLED, mode="max", sampling_ratio=2, output_width=3)
    below = replace(below, inputs={**below.inputs, "X": negative})
    wrong_meaning = Semantics(max_rule="samples", max_start=0.0)
    attributes = Attributes(mode="max", sampling_ratio=2, output_width=3, semantics=wrong_meaning)
    got = {"Y": reference.roi_align(*below.inputs.values(), attributes)}
    results = (
        Result(both_signs.id, Status.FAIL, got=computed(wrong_meaning)),
        Result(below.id, Status.FAIL, got=got),
    )
    written = documents.document([both_signs, below], [Run("runtime", "1.0", results)])["runs"][0]
    assert [entry["instead"] for entry in written["results"]] == ["max_rule='samples', max_start=0"] * 2


def test_right_values_of_another_type_are_told_as_that():
    model = onnx.ModelProto()
    model.CopyFrom(GRID.model)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    inputs = {
        name: array.astype(np.float16) if name != "batch_indices" else array for name, array in GRID.inputs.items()
    }
    float32 = reference.roi_align(
        *(array.astype(np.float32) if name != "batch_indices" else array for name, array in inputs.items()),
        Attributes(output_height=3, output_width=2, semantics=from_onnx(16, None)),
    )
    case = replace(GRID, model=model, inputs=inputs, outcomes=(Outcome({"Y": float32.astype(np.float16)}),))
    result = Result(case.id, Status.FAIL, "Y must be of type float16, got float32", got={"Y": float32})
    (entry,) = documents.document([case], [Run("runtime", "1.0", (result,))])["runs"][0]["results"]
    assert entry["instead"] == "the error type/result-always-float32"


def test_an_error_that_is_no_field_is_told_by_its_name():
    result = Result(GRID.id, Status.FAIL, "", got={"Y": np.ascontiguousarray(grid(Semantics())["Y"][:, ::-1])})
    run = documents.document(CASES, [made_run(results=[result])])["runs"][0]
    told = next(entry["instead"] for entry in run["results"] if entry["case"] == GRID.id)
    assert told == "the error output/channels-reversed"

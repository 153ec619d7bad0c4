"""Findings as JUnit's XML: a test suite for each model, a test case for each RoiAlign and for the model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from onnx_roialign.cli.formats.report import MODEL, Checked, Report
from onnx_roialign.errors import one_line

if TYPE_CHECKING:
    from onnx_roialign.graph.findings.finding import Finding

__all__ = ["as_junit"]

# What XML 1.0 cannot hold, escaped or not: control characters but tab, line feed and carriage return; surrogates.
_UNWRITABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(55296, 57344), 65534, 65535), "�")


def as_junit(report: Report) -> str:
    """Returns the XML: failing findings are failures, others in system-out; a model that was not read is an error."""
    root = ET.Element("testsuites", name="onnx-roialign validate")
    for model in report.models:
        _suite(root, report, model)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode")


def _suite(root: ET.Element, report: Report, model: Checked) -> None:
    suite = ET.SubElement(root, "testsuite", name=_written(model.path))
    properties = ET.SubElement(suite, "properties")
    for name, value in (("opset", model.opset), ("nodes", model.nodes), ("roi_aligns", len(model.roi_aligns))):
        ET.SubElement(properties, "property", name=name, value="" if value is None else str(value))
    places = dict.fromkeys(finding.node for finding in model.findings)
    if not model.roi_aligns or model.stopped:
        places[""] = None
    others = [node for node in places if node not in model.roi_aligns]
    for node in (*others, *model.roi_aligns):
        test = ET.SubElement(suite, "testcase", classname=_written(model.path), name=_written(node or MODEL))
        _fill(test, report, [finding for finding in model.findings if finding.node == node])
        if node == "" and model.error is not None:
            message = _written(one_line(model.error))
            ET.SubElement(test, "error", type="not-read", message=message).text = message
        elif model.stopped or not (test.findall("failure") or model.roi_aligns):
            _skip(test)
    suite.set("tests", str(len(suite.findall("testcase"))))
    for key, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(len(suite.findall(f"testcase/{kind}"))))


def _fill(test: ET.Element, report: Report, findings: list[Finding]) -> None:
    failing = [finding for finding in findings if report.fails(finding)]
    passing = [finding for finding in findings if not report.fails(finding)]
    if failing:
        codes = ", ".join(dict.fromkeys(finding.code for finding in failing))
        element = ET.SubElement(test, "failure", type=codes, message=_written(failing[0].message))
        element.text = "\n".join(map(_line, failing))
    if passing:
        ET.SubElement(test, "system-out").text = "\n".join(map(_line, passing))


def _skip(test: ET.Element) -> None:
    """Marks a test case as not run, so that it is not green: its RoiAlign, or any RoiAlign, was not checked."""
    if test.find("failure") is None:
        test.insert(0, ET.Element("skipped", message="no RoiAlign was checked"))


def _line(finding: Finding) -> str:
    return _written(f"{finding.severity} {finding.code}: {finding.text}")


def _written(text: str) -> str:
    return text.translate(_UNWRITABLE)

"""The document as JUnit's XML, which CI services show as tests."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from onnx_roialign.conformance.reports.document import Document, ResultEntry, RunEntry, name_of
from onnx_roialign.conformance.result import Status

__all__ = ["junit"]

# What XML 1.0 cannot hold, escaped or not: control characters but tab, line feed and carriage return; surrogates.
_UNWRITABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(55296, 57344), 65534, 65535), "�")


def junit(document: Document) -> bytes:
    """Returns a test suite for each run, a test case for each case; known deviations and unsupported are skipped."""
    root = ET.Element("testsuites", name="RoiAlign conformance")
    for run in document["runs"]:
        _suite(root, run)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _suite(root: ET.Element, run: RunEntry) -> None:
    name = name_of(run)
    suite = ET.SubElement(root, "testsuite", name=name)
    counts = {"failures": 0, "errors": 0, "skipped": 0}
    for result in run["results"]:
        group, _, statement = result["case"].partition("/")
        test = ET.SubElement(suite, "testcase", classname=f"{name}.{group}".replace(" ", "_"), name=statement or group)
        kind = _kind(result)
        if kind:
            counts[{"failure": "failures", "error": "errors"}.get(kind, kind)] += 1
            ET.SubElement(test, kind, message=_written(result["known"] or result["text"])).text = _written(
                _body(result)
            )
    for entry in run["wrong_entries"]:
        counts["errors"] += 1
        test = ET.SubElement(suite, "testcase", classname=f"{name}.known".replace(" ", "_"), name=_written(entry))
        ET.SubElement(test, "error", message=_written(entry))
    for key, value in counts.items():
        suite.set(key, str(value))
    suite.set("tests", str(len(run["results"]) + len(run["wrong_entries"])))


def _kind(result: ResultEntry) -> str | None:
    if result["status"] == Status.PASS.value:
        return None
    if result["known"] or result["status"] == Status.UNSUPPORTED.value:
        return "skipped"
    return "failure" if result["status"] == Status.FAIL.value else "error"


def _body(result: ResultEntry) -> str:
    return "\n".join(text for text in (result["status"], result["text"], result["instead"]) if text)


def _written(text: str) -> str:
    return text.translate(_UNWRITABLE)

"""Reads ONNX Runtime's profile of a session: the time of each node, and the nodes around it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ProfiledNode", "ProfiledRun", "median_run"]

_SUFFIX = "_kernel_time"
_WITH_BODIES = ("Loop", "If", "Scan")


@dataclass(frozen=True, slots=True)
class ProfiledNode:
    """One node in one run; a node in the body of a Loop occurs once per iteration.

    Attributes:
        name: the name in ONNX Runtime; after ONNX Runtime's fusions it can contain other nodes' names or be a value's.
        operator: the node's type.
        ms: its time in milliseconds without the nodes in its bodies, which are listed separately.
        output_bytes: the size of its outputs.
        within: the names of the nodes whose bodies it ran in, the outermost first.
    """

    name: str
    operator: str
    ms: float
    output_bytes: int
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProfiledRun:
    """One run: its milliseconds, and its nodes in the order of their starts."""

    ms: float
    nodes: tuple[ProfiledNode, ...]


def median_run(profile: Path) -> ProfiledRun:
    """Returns the run of median duration, without the first run; of an even number, the shorter middle one."""
    events = json.loads(profile.read_text(encoding="utf-8"))
    runs = sorted(
        (event for event in events if event.get("name") == "model_run"), key=lambda event: float(event["ts"])
    )[1:]
    run = sorted(runs, key=lambda event: float(event["dur"]))[(len(runs) - 1) // 2]
    begin, end = run["ts"], run["ts"] + run["dur"]
    nodes = [e for e in events if e.get("cat") == "Node" and str(e.get("name", "")).endswith(_SUFFIX)]
    return ProfiledRun(run["dur"] / 1e3, tuple(_nested([e for e in nodes if begin <= e["ts"] < end])))


def _nested(events: Sequence[Mapping[str, Any]]) -> Iterator[ProfiledNode]:
    """Yields the nodes, each with the nodes that were running at its start; a session runs nodes one by one."""
    order = sorted(range(len(events)), key=lambda i: (events[i]["ts"], -events[i]["dur"]))
    durations = [float(event["dur"]) for event in events]
    running: list[int] = []
    within: dict[int, tuple[int, ...]] = {}
    for i in order:
        event = events[i]
        while running and event["ts"] >= events[running[-1]]["ts"] + events[running[-1]]["dur"]:
            running.pop()
        within[i] = tuple(running)
        if running:
            durations[running[-1]] -= event["dur"]
        if event["args"]["op_name"] in _WITH_BODIES:
            running.append(i)
    for i in order:
        name, *around = (str(events[j]["name"]).removesuffix(_SUFFIX) for j in (i, *within[i]))
        arguments = events[i]["args"]
        yield ProfiledNode(
            name, arguments["op_name"], durations[i] / 1e3, int(arguments.get("output_size", 0) or 0), tuple(around)
        )

"""ONNX Runtime's profile of a session: how long each node took by itself, and what it ran in."""

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
    """One node in one run; a node of a Loop's body is there once for every iteration.

    Attributes:
        name: as ONNX Runtime calls it: where it has fused nodes, its name may be part of it, or the name of a value.
        operator: its type.
        ms: of its own: without the nodes of its bodies, which are listed by themselves.
        output_bytes: what it returned.
        within: the names of the nodes that it ran in, the outermost first.
    """

    name: str
    operator: str
    ms: float
    output_bytes: int
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProfiledRun:
    """One run: its milliseconds, and its nodes in the order in which they began."""

    ms: float
    nodes: tuple[ProfiledNode, ...]


def median_run(profile: Path) -> ProfiledRun:
    """The run of median length, all but the first counted; of an even number, the shorter one of the middle."""
    events = json.loads(profile.read_text(encoding="utf-8"))
    runs = sorted(
        (event for event in events if event.get("name") == "model_run"), key=lambda event: float(event["ts"])
    )[1:]
    run = sorted(runs, key=lambda event: float(event["dur"]))[(len(runs) - 1) // 2]
    begin, end = run["ts"], run["ts"] + run["dur"]
    nodes = [e for e in events if e.get("cat") == "Node" and str(e.get("name", "")).endswith(_SUFFIX)]
    return ProfiledRun(run["dur"] / 1e3, tuple(_nested([e for e in nodes if begin <= e["ts"] < end])))


def _nested(events: Sequence[Mapping[str, Any]]) -> Iterator[ProfiledNode]:
    """The nodes, each with those that were running when it began; a session runs one node after the other."""
    order = sorted(range(len(events)), key=lambda i: (events[i]["ts"], -events[i]["dur"]))
    own = [float(event["dur"]) for event in events]
    running: list[int] = []
    within: dict[int, tuple[int, ...]] = {}
    for i in order:
        event = events[i]
        while running and event["ts"] >= events[running[-1]]["ts"] + events[running[-1]]["dur"]:
            running.pop()
        within[i] = tuple(running)
        if running:
            own[running[-1]] -= event["dur"]
        if event["args"]["op_name"] in _WITH_BODIES:
            running.append(i)
    for i in order:
        name, *around = (str(events[j]["name"]).removesuffix(_SUFFIX) for j in (i, *within[i]))
        arguments = events[i]["args"]
        yield ProfiledNode(
            name, arguments["op_name"], own[i] / 1e3, int(arguments.get("output_size", 0) or 0), tuple(around)
        )

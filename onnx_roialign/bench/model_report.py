"""The output of `bench --model`: tables and remarks for the terminal, records for the JSON file (see report.py)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from onnx_roialign.bench.regions import CONVOLUTIONS, HEADS, PASTING, POOLER, REGIONS, REST, ROI_ALIGN
from onnx_roialign.bench.report import milliseconds, times_faster
from onnx_roialign.bench.share import BUILTIN, FREE, NATIVE, OPTIMIZED, Measured, Share

__all__ = [
    "fused_lines",
    "fused_records",
    "gain_record",
    "operator_table",
    "region_table",
    "remarks",
    "session_table",
    "share_records",
]

_TOP_OPERATORS = 12
_MEANING = {
    BUILTIN: "builtin: ONNX Runtime's own kernel",
    NATIVE: "native: this package's kernel",
    OPTIMIZED: "optimized: native after optimize",
    FREE: "free: pooled features and pasted images as inputs",
}
_LABELS = {
    CONVOLUTIONS: "convolutions",
    HEADS: "convolutions and products of pooled features",
    ROI_ALIGN: "RoiAlign",
    POOLER: "pooler's gather and merge",
    PASTING: "mask pasting",
    REST: "the rest",
}
_LIMITS = {
    CONVOLUTIONS: "limited by ONNX Runtime's convolution kernels",
    HEADS: "limited by ONNX Runtime's convolution and matrix product kernels",
    ROI_ALIGN: "limited by reading features and writing pooled features",
    POOLER: "limited by copies of pooled features",
    PASTING: "limited by writing the images",
    REST: "limited by ONNX Runtime's other kernels",
}


def share_records(measured: Measured) -> list[dict[str, Any]]:
    """Returns the "shares" of the JSON file."""
    return [{"threads": measured.threads, **_record(share)} for share in measured.shares]


def _record(share: Share) -> dict[str, Any]:
    times = share.times
    return {
        "session": share.session,
        "engine": BUILTIN if share.session == BUILTIN else NATIVE,
        "refusal": share.refusal,
        "median_ms": times and times.median,
        "q1_ms": times and times.q1,
        "q3_ms": times and times.q3,
        "samples": times and times.samples,
        "run_ms": times and share.profiled_ms,
        "operator_ms": share.operator_ms,
        "operator_nodes": share.operator_nodes,
        "region_ms": share.region_ms,
        "region_nodes": share.region_nodes,
        "peak_bytes": share.peak_bytes,
        "difference": share.difference
        and {name: value if math.isfinite(value) else None for name, value in share.difference.items()},
    }


def gain_record(measured: Measured) -> dict[str, Any]:
    """Returns one entry of the "gains" of the JSON file."""
    return {
        "threads": measured.threads,
        "possible_ms": measured.possible_ms,
        "gained_part": measured.gained_part,
    }


def _timed(measured: Measured) -> list[Share]:
    return [share for share in measured.shares if share.times is not None]


def session_table(measured: Measured) -> Table:
    """Returns the table of each session's time, end to end, and memory."""
    table = Table(box=SIMPLE, title="Milliseconds of one run, in turns", title_justify="left")
    table.add_column("session", overflow="fold", min_width=16)
    for header in ("median", "quartiles", "x builtin", "x native", "peak memory", "off native by"):
        table.add_column(header, justify="right", no_wrap=True)
    for share in measured.shares:
        if share.times is None:
            table.add_row(_MEANING[share.session], "[red]none[/]")
            continue
        ratios = (_ratio(measured.times(name), share) for name in (BUILTIN, NATIVE))
        memory = "" if share.peak_bytes is None else f"{share.peak_bytes / 2**20:.0f} MB"
        off = f"{max(share.difference.values()):.1g}" if share.difference else ""
        quartiles = f"{milliseconds(share.times.q1)}-{milliseconds(share.times.q3)}"
        table.add_row(_MEANING[share.session], milliseconds(share.times.median), quartiles, *ratios, memory, off)
    return table


def _ratio(baseline: Any, share: Share) -> str:
    return "" if baseline is None or share.times is None else times_faster(baseline.median / share.times.median)


def region_table(measured: Measured) -> Table:
    """Returns the table of the profiled run by region, with a column per session; the last row is the column's sum."""
    return _table("region", REGIONS, _LABELS, measured, lambda share: (share.region_ms or {}, share.region_nodes or {}))


def operator_table(measured: Measured) -> Table:
    """Returns the table of the profiled run by operator, the slowest first, with all RoiAlign operators."""
    largest: dict[str, float] = {}
    for share in _timed(measured):
        for name, time in (share.operator_ms or {}).items():
            largest[name] = max(time, largest.get(name, 0.0))
    names = sorted(largest, key=lambda name: -largest[name])
    shown = [name for i, name in enumerate(names) if i < _TOP_OPERATORS or "RoiAlign" in name or name == "PasteMasks"]
    return _table("operator", shown, {}, measured, lambda share: (share.operator_ms or {}, share.operator_nodes or {}))


def _table(
    heading: str,
    rows: Sequence[str],
    labels: Mapping[str, str],
    measured: Measured,
    numbers: Callable[[Share], tuple[Mapping[str, float], Mapping[str, int]]],
) -> Table:
    shares = _timed(measured)
    detailed = [share for share in shares if share.session in (NATIVE, OPTIMIZED)]
    table = Table(box=SIMPLE, title=f"Milliseconds of one profiled run, by {heading}", title_justify="left")
    table.add_column(heading, overflow="fold")
    for share in shares:
        table.add_column(share.session, justify="right", no_wrap=True)
    for share in detailed:
        table.add_column(f"{share.session}, %", justify="right")
        table.add_column(f"{share.session}, nodes", justify="right")

    def row(label: str, times: Sequence[float], counts: Sequence[object], style: str = "") -> None:
        cells = [milliseconds(time) for time in times]
        for share, time, count in zip(shares, times, counts, strict=True):
            if share in detailed:
                cells += [f"{100 * time / share.profiled_ms:.1f}", str(count)]
        table.add_row(label, *cells, style=style)

    found = [numbers(share) for share in shares]
    for name in rows:
        times, counts = [ms.get(name, 0.0) for ms, _ in found], [nodes.get(name, 0) for _, nodes in found]
        ours = "RoiAlign" in name or name in ("PasteMasks", PASTING)
        row(escape(labels.get(name, name)), times, counts, "bold green" if ours else "")
    between = [share.profiled_ms - sum(ms.values()) for share, (ms, _) in zip(shares, found, strict=True)]
    row("between nodes", between, [""] * len(shares))
    row("the whole run", [share.profiled_ms for share in shares], [sum(nodes.values()) for _, nodes in found], "bold")
    return table


def remarks(measured: Measured, bandwidth: float | None) -> Iterator[str]:
    """Yields remarks on the possible and the actual gain, on the largest remaining regions, and on their limits.

    Args:
        measured: the measured sessions.
        bandwidth: bytes per second at which the machine copies memory; None: unknown.
    """
    for share in measured.shares:
        if share.refusal is not None:
            yield f"{share.session}: {share.refusal}"
    yield from _gain(measured)
    timed = {share.session: share for share in _timed(measured)}
    last = timed.get(OPTIMIZED) or timed.get(NATIVE)
    if last is None or last.region_ms is None or last.written_bytes is None:
        return
    by_time = sorted(last.region_ms.items(), key=lambda item: -item[1])
    (largest, _), (second, _) = by_time[:2]
    yield (
        f"Left in {last.session}: {_part(last, largest)} {_LABELS[largest]} ({_LIMITS[largest]}), "
        f"{_part(last, second)} {_LABELS[second]} ({_LIMITS[second]})."
    )
    ours, written = last.region_ms[ROI_ALIGN] + last.region_ms[PASTING], sum(last.written_bytes.values())
    if bandwidth is not None and written:
        yield (
            f"RoiAligns and mask pasting take {milliseconds(ours)} ms in {last.session}; they write "
            f"{written / 1e6:.0f} MB, for which a memory copy needs {milliseconds(2e3 * written / bandwidth)} ms."
        )


def _gain(measured: Measured) -> Iterator[str]:
    native, free, optimized = (measured.times(name) for name in (NATIVE, FREE, OPTIMIZED))
    if native is None or optimized is None:
        return
    if free is None:
        yield "The model has no outputs without the fused parts, so there is no time without them."
        return
    possible = f"Without pooling and pasting, the speed would be {times_faster(native.median / free.median)} native's"
    part = measured.gained_part
    actual = f"after optimize it is {times_faster(native.median / optimized.median)}"
    yield f"{possible}; {actual}" + ("." if part is None else f": {100 * part:.0f} % of the gain.")


def _part(share: Share, region: str) -> str:
    assert share.region_ms is not None
    return f"{100 * share.region_ms[region] / share.profiled_ms:.0f} %"


def fused_lines(report: Sequence[Any]) -> Iterator[str]:
    """Yields a line for each part in the report of `fuse`."""
    if not report:
        yield "optimize: nothing to fuse: no pooler and no mask pasting was found"
    for part in report:
        yield str(part)


def fused_records(report: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns the "fused" of the JSON file."""
    return [dataclasses.asdict(part) for part in report]

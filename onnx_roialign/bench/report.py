"""The output of the benchmark: tables for the terminal, and the records of its JSON document.

The document is one object. Times are in milliseconds, sizes in bytes; a field without a value is null.

    schema            version of this format; changes only if a field changes its meaning or is removed
    kind              "bench", "pooler", "sweep" or "model"
    machine           cpu, cores, system, python, versions (by package)
    settings          the command's options, with defaults filled in
    missing           for each missing peer the reason why it could not be imported
    races             "bench", "pooler" and "sweep": a list of
        workload, dtype, mode, threads
        moved_bytes   features in use, read once, and the output, written once
        copy_bandwidth  bytes per second that NumPy copies, read plus written
        floor_ms      moved_bytes / copy_bandwidth
        results       a list of
            engine    "ours", a peer's name, "direct corners" or "direct samples" (this kernel without a session), or in
                      a sweep "onnxruntime again" (a second session); in "pooler", "ours" (one call), "single levels",
                      "unfused, onnxruntime" or "unfused, our RoiAlign"
            isa       the prescribed instruction set, null for a peer
            refusal   the reason why it was not timed, in one line, or null
            difference  the largest difference from the reference, in units of max|X|; null if it is not a number
            median_ms, q1_ms, q3_ms, samples
            alone_ms  for threads > 1: the median on 1 thread, from the same turns; null if the engine cannot do both
            speed_up  alone_ms / median_ms
            over_floor  median_ms / floor_ms
            faster_than for each peer its median / this median
            scratch_bytes  largest memory of a run beyond inputs and outputs
    worst             "sweep": workload, dtype, threads, isa, ratio of the lowest ratio to onnxruntime
    shares            "model": a list of
        threads
        session       "builtin" (ONNX Runtime's own kernel), "native" (this kernel), "optimized" (after `fuse`), "free"
                      (the same with the outputs of the fused parts as inputs)
        engine        the session's engine
        refusal       the reason why it was not timed, in one line, or null; then all following fields are null
        median_ms, q1_ms, q3_ms, samples  times of a run without the profiler
        run_ms        time of the profiled run, the median of three; the regions, or the operators, add up to it, apart
                      from ONNX Runtime's work between nodes
        operator_ms, operator_nodes  by operator; a Loop counts without its body
        region_ms, region_nodes  by region; the whole body of a Loop that pastes masks counts as pasting
        peak_bytes    resident memory of a process with this session alone, after one run, or null
        difference    by output, the largest difference from native's, in units of the output's largest value, or null
    gains             "model": a list of threads, possible_ms (the time that would be saved if the fused parts took no
                      time), gained_part (the part of it that `fuse` saves); null if unknown
    fused             "model": the report of `fuse`: a list of op, output, fused, nodes, text
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE, SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from onnx_roialign.bench.peers import OURS, PEERS
from onnx_roialign.bench.race import Race, Result

__all__ = [
    "SCHEMA",
    "machine_line",
    "milliseconds",
    "race_record",
    "race_table",
    "ratio_text",
    "ratios",
    "refusals",
    "sweep_table",
    "times_faster",
]

SCHEMA = 2


def race_record(race: Race) -> dict[str, Any]:
    """Returns one entry of "races"."""
    return {
        "workload": race.workload,
        "dtype": race.dtype,
        "mode": race.mode,
        "threads": race.threads,
        "moved_bytes": race.moved_bytes,
        "copy_bandwidth": race.copy_bandwidth,
        "floor_ms": race.floor_ms,
        "results": [_result_record(race, result) for result in race.results],
    }


def _result_record(race: Race, result: Result) -> dict[str, Any]:
    times = result.times
    return {
        "engine": result.contestant.name,
        "isa": result.contestant.isa,
        "refusal": result.refusal,
        "difference": result.difference if math.isfinite(result.difference or 0.0) else None,
        "median_ms": times and times.median,
        "q1_ms": times and times.q1,
        "q3_ms": times and times.q3,
        "samples": times and times.samples,
        "alone_ms": result.alone and result.alone.median,
        "speed_up": result.speed_up,
        "over_floor": times and times.median / race.floor_ms,
        "faster_than": {peer: ratio for peer in _timed_peers(race) if (ratio := race.faster(result, peer)) is not None},
        "scratch_bytes": result.scratch_bytes,
    }


def machine_line(machine: Mapping[str, Any]) -> str:
    """Returns the machine in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    cores = f"{machine['cores']} core{'s' if machine['cores'] != 1 else ''}"
    return f"{machine['cpu']}, {cores}, {machine['system']}, Python {machine['python']}; {versions}"


def milliseconds(value: float) -> str:
    """Returns a time with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value < 1 else f"{value:.{2 if value < 10 else 1}f}"


def ratio_text(ratio: float) -> str:
    """Returns a ratio with one decimal, or with two if it is small."""
    return f"{ratio:.1f}x" if ratio >= 1.95 else f"{ratio:.2f}x"


def times_faster(ratio: float | None) -> str:
    """Returns the text of a ratio, in red if it is below 1; empty for None."""
    if ratio is None:
        return ""
    return f"[red]{ratio_text(ratio)}[/]" if ratio < 1 else ratio_text(ratio)


def _timed_peers(race: Race) -> list[str]:
    return [r.contestant.name for r in race.results if r.contestant.name in PEERS and r.times is not None]


def race_table(races: Sequence[Race]) -> Table:
    """Returns the table of races of one type, mode and number of threads, with a column per instruction set."""
    first = races[0]
    isas = [result.contestant.isa for result in first.results if result.contestant.name == OURS]
    threads = f"{first.threads} thread{'s' if first.threads > 1 else ''}"
    title = f"{first.dtype}, mode {first.mode}, {threads}"
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("milliseconds", no_wrap=True)
    more = ("x 1 thread",) if first.threads > 1 else ()
    for header in ("median", "quartiles", *more, "/ floor", *(f"x {isa}" for isa in isas), "off by", "scratch"):
        table.add_column(header, justify="right", no_wrap=True)
    for race in races:
        blank = [""] * len(more)
        table.add_row(f"[bold]{escape(race.workload)}[/]", milliseconds(race.floor_ms), "floor", *blank, "1.00")
        for i, result in enumerate(race.results):
            table.add_row(*_cells(race, result, isas), end_section=i == len(race.results) - 1)
    return table


def _cells(race: Race, result: Result, isas: Sequence[str | None]) -> Iterator[str]:
    yield f"  {escape(result.contestant.label)}"
    times = result.times
    if times is None:
        yield "[red]none[/]"
        yield from [""] * (2 + (race.threads > 1) + len(isas))
    else:
        yield milliseconds(times.median)
        yield f"{milliseconds(times.q1)}-{milliseconds(times.q3)}"
        if race.threads > 1:
            yield times_faster(result.speed_up)
        yield f"{times.median / race.floor_ms:.2f}"
        ours = {result.contestant.isa: result for result in race.results if result.contestant.name == OURS}
        peer = result.contestant.isa is None
        yield from (times_faster(race.faster(ours[isa], result.contestant.name)) if peer else "" for isa in isas)
    yield "" if result.difference is None else f"{result.difference:.1g}"
    yield "" if result.scratch_bytes is None else f"{result.scratch_bytes / 2**20:.1f} MB"


def refusals(races: Sequence[Race]) -> Iterator[str]:
    """Yields the reasons why engines were not timed, one line per reason."""
    reasons: dict[str, list[str]] = {}
    for race in races:
        for result in race.results:
            if result.refusal is not None:
                place = f"{race.workload} ({race.dtype}, {race.threads} threads)"
                reasons.setdefault(f"{result.contestant.label} {result.refusal}", []).append(place)
    for reason, places in reasons.items():
        yield f"Not timed: {reason}: {', '.join(places)}"


def ratios(races: Sequence[Race], name: str, rival: str) -> list[tuple[float, Race, Result]]:
    """Returns the ratio of the rival's median to this contestant's in each race, the lowest first."""
    found = [
        (ratio, race, result)
        for race in races
        for result in race.results
        if result.contestant.name == name and (ratio := race.faster(result, rival)) is not None
    ]
    return sorted(found, key=lambda entry: entry[0])


def apart(race: Race, result: Result, rival: str) -> bool:
    """Returns whether the lower quartile of the samples is above the rival's upper quartile."""
    slower = next(r for r in race.results if r.contestant.name == rival)
    return result.times is not None and slower.times is not None and result.times.q1 > slower.times.q3


def sweep_table(races: Sequence[Race], rival: str, count: int = 12) -> Table:
    """Returns the table of the sweep's worst cases."""
    table = Table(box=SIMPLE, title=f"Cases with the least gain over {rival}", title_justify="left")
    for header in ("case", "type", "threads", "engine"):
        table.add_column(header, overflow="fold")
    for header in ("ours, ms", f"{rival}, ms", "ratio"):
        table.add_column(header, justify="right", no_wrap=True)
    for ratio, race, result in ratios(races, OURS, rival)[:count]:
        median = result.times.median if result.times else 0.0
        times = milliseconds(median), milliseconds(median * ratio)
        place = race.workload, race.dtype, str(race.threads), result.contestant.label
        table.add_row(*map(escape, place), *times, times_faster(ratio))
    return table

"""The command onnx-roialign bench --model: where the time of one model goes, before and after optimize."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from rich.console import Console

from onnx_roialign.arrays import Array
from onnx_roialign.bench import model_report
from onnx_roialign.bench.narrow import fitted
from onnx_roialign.bench.regions import split
from onnx_roialign.bench.share import SESSIONS, measure_shares
from onnx_roialign.cli.progress import progress_bars

__all__ = ["bench_model"]


def bench_model(
    proto: onnx.ModelProto,
    path: Path,
    feeds: Mapping[str, Array],
    *,
    threads: Sequence[int],
    repeat: int,
    bandwidth: Any,
    console: Console,
) -> tuple[dict[str, Any], bool]:
    """Measures a model and prints the results; returns the records for JSON and whether any session runs the model.

    Args:
        proto: a model without defects.
        path: the model's file.
        feeds: an array per input.
        threads: numbers of threads.
        repeat: timed runs per session.
        bandwidth: see `floor.copy_bandwidth`.
        console: prints the results.
    """
    versions = split(proto)
    _print_lines(console, model_report.fused_lines(versions.report))
    shares, gains = [], []
    for count in threads:
        with progress_bars() as progress:
            bar = progress.add_task(f"{count} thread(s)", total=repeat + 2 * len(SESSIONS))
            measured = measure_shares(
                versions,
                feeds,
                folder=path.parent,
                threads=count,
                repeat=repeat,
                after_step=functools.partial(progress.advance, bar),
            )
        timed = any(share.times is not None for share in measured.shares)
        console.print(f"{path.name}, {count} thread(s)", markup=False, highlight=False)
        tables = [model_report.session_table(measured)]
        if timed:
            tables += [model_report.region_table(measured), model_report.operator_table(measured)]
        for part in (part for table in tables for part in fitted(console, table)):
            console.print(part)
        _print_lines(console, model_report.remarks(measured, bandwidth(count) if timed else None))
        shares += model_report.share_records(measured)
        gains.append(model_report.gain_record(measured))
    records = {"shares": shares, "gains": gains, "fused": model_report.fused_records(versions.report)}
    return records, any(share["refusal"] is None for share in shares)


def _print_lines(console: Console, lines: Any) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

"""Tables on narrow terminals: a table that is too wide becomes several, each with some of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Column, Table

__all__ = ["fitted"]

_UNLIMITED = 10_000  # columns; rich measures nothing as wider than the console


def fitted(console: Console, table: Table, keys: int = 1) -> Iterator[Table]:
    """Yields the table, or parts of it that fit the console's width, each with the first `keys` columns.

    A column alone that does not fit is truncated as rich does it.
    """
    first, rest = table.columns[:keys], table.columns[keys:]
    title = table.title
    while rest:
        count = len(rest)
        while count > 1 and _least_width(console, _part(console, table, [*first, *rest[:count]])) > console.width:
            count -= 1
        part = _part(console, table, [*first, *rest[:count]])
        part.title, title = title, None
        rest = rest[count:]
        yield part


def _part(console: Console, table: Table, columns: Sequence[Column]) -> Table:
    part = Table(box=table.box, title_justify=table.title_justify, pad_edge=table.pad_edge)
    for column in columns:
        part.add_column(
            column.header,
            justify=column.justify,
            no_wrap=column.no_wrap,
            overflow=column.overflow,
            min_width=_width(console, column) if column.no_wrap else column.min_width,
        )
    for row, cells in zip(table.rows, zip(*(column.cells for column in columns), strict=True), strict=True):
        part.add_row(*cells, style=row.style, end_section=row.end_section)
    return part


def _least_width(console: Console, table: Table) -> int:
    return console.measure(table, options=console.options.update(width=_UNLIMITED)).minimum


def _width(console: Console, column: Column) -> int:
    return max(console.measure(cell).maximum for cell in (column.header, *column.cells))

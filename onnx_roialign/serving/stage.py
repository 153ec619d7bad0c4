"""SessionStage: runs a model on the rows of batches, as Ray Data passes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import flag
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.serving.spec import SessionSpec

__all__ = ["SessionStage"]

Batch = Mapping[str, Array]


class SessionStage:
    """Runs a model on every row of a batch: a class for `ray.data.Dataset.map_batches`, or for any loop over batches.

    The columns that the model reads are replaced by its outputs; all other columns are kept. Rows are independent, so
    a row has the same outputs in any batch, on any worker, also when Ray runs it again after a worker's end.

    Args:
        spec: the session; each worker builds it once. Set its `threads` to the worker's number of cores.
        columns: column by model input; None: the columns have the names of the inputs.
        outputs: names of the outputs to return; None: all.
        whole: whether one run takes the whole batch, as the first dimension of every input and output; if not, each
            row is a run of its own, and an input that has one dimension more than a row gets a first dimension of 1.

    Raises:
        RoiAlignError: an argument has the wrong type, or the model has no such input or output.
    """

    def __init__(
        self,
        spec: SessionSpec,
        *,
        columns: Mapping[str, str] | None = None,
        outputs: Sequence[str] | None = None,
        whole: bool = False,
    ) -> None:
        if not isinstance(spec, SessionSpec):
            raise RoiAlignError("spec", "type", f"must be a SessionSpec, got {shown(spec)}")
        self._spec = spec
        self._whole = flag("whole", whole)
        session = spec.session()
        self._inputs = {value.name: len(value.shape) for value in session.get_inputs()}
        shapes = {value.name: tuple(value.shape) for value in session.get_outputs()}
        names = list(shapes) if outputs is None else _names("outputs", outputs, shapes)
        self._outputs = {name: shapes[name] for name in names}
        given = {} if columns is None else _columns(columns, self._inputs)
        self._columns = {name: given.get(name, name) for name in self._inputs}

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Returns the batch with the model's outputs.

        Args:
            batch: arrays of one length by column; a row of a column is an input, an array that the model takes.

        Returns:
            The columns that are no inputs, and the outputs. An output whose shape is the same for every input is one
            array with a row per row of the batch; another one, such as the boxes of a detector, is an array of objects,
            which are the arrays of the rows.

        Raises:
            RoiAlignError: a column is missing or has another length, a column that is kept has the name of an output,
                or (with `whole`) an output has another number of rows than the batch.
        """
        feeds = self._feeds(batch)
        rest = {name: column for name, column in batch.items() if name not in self._columns.values()}
        for name in self._outputs:
            if name in rest:
                raise RoiAlignError(name, "conflict", "must not be an output and a column that is kept, got both")
        return {**rest, **(self._run_whole(feeds) if self._whole else self._run_rows(feeds))}

    def _feeds(self, batch: Batch) -> dict[str, Array]:
        if not isinstance(batch, Mapping):
            raise RoiAlignError("batch", "type", f"must be a mapping from columns to arrays, got {shown(batch)}")
        columns = list(self._columns.values())
        for name in columns:
            if name not in batch:
                raise RoiAlignError(name, "missing", f"must be a column of the batch, got {', '.join(batch) or 'none'}")
            if not isinstance(batch[name], (np.ndarray, Sequence)) or np.ndim(batch[name]) == 0:
                raise RoiAlignError(name, "type", f"must be an array with a row per input, got {shown(batch[name])}")
            if len(batch[name]) != len(batch[columns[0]]):
                rule = f"must have as many rows as {columns[0]}, {len(batch[columns[0]])}, got {len(batch[name])}"
                raise RoiAlignError(name, "shape", rule)
        return {name: batch[column] for name, column in self._columns.items()}

    def _run_whole(self, feeds: Batch) -> dict[str, Any]:
        rows = len(next(iter(feeds.values()), ()))
        arrays = self._spec.run(list(self._outputs), {name: _dense(column) for name, column in feeds.items()})
        for name, array in zip(self._outputs, arrays, strict=True):
            if np.ndim(array) == 0 or len(array) != rows:
                raise RoiAlignError(
                    name, "shape", f"must have a row for each of the batch's {rows}, got shape {np.shape(array)}"
                )
        return dict(zip(self._outputs, arrays, strict=True))

    def _run_rows(self, feeds: Batch) -> dict[str, Any]:
        rows = [
            self._spec.run(list(self._outputs), {name: self._fed(name, row[name]) for name in feeds})
            for row in _rows(feeds)
        ]
        return {
            name: _column([row[place] for row in rows], shape)
            for place, (name, shape) in enumerate(self._outputs.items())
        }

    def _fed(self, name: str, row: Any) -> Array:
        array = np.asarray(row)
        return array[np.newaxis] if array.ndim + 1 == self._inputs[name] else array


def _names(argument: str, names: object, known: Mapping[str, Any]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise RoiAlignError(argument, "type", f"must be a list of names, got {shown(names)}")
    for name in names:
        if not (isinstance(name, str) and name in known):
            raise RoiAlignError(argument, "choice", f"must be of {', '.join(known) or 'none'}, got {shown(name)}")
    return list(names)


def _columns(columns: object, inputs: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(columns, Mapping):
        raise RoiAlignError("columns", "type", f"must be a mapping from inputs to columns, got {shown(columns)}")
    _names("columns", list(columns), inputs)
    for column in columns.values():
        if not isinstance(column, str):
            raise RoiAlignError("columns", "type", f"must map to names of columns, got {shown(column)}")
    return dict(columns)


def _rows(feeds: Batch) -> list[dict[str, Any]]:
    return [dict(zip(feeds, row, strict=True)) for row in zip(*feeds.values(), strict=True)]  # of equal lengths


def _dense(column: Any) -> Array:
    """A column as one array: Ray Data passes rows of different shapes as an array of objects."""
    array = np.asarray(column)
    if array.dtype == object and len(array) and isinstance(array[0], np.ndarray):
        return np.stack(list(array))
    return array


def _column(arrays: Sequence[Any], shape: tuple[Any, ...]) -> Array:
    """The rows of an output as one array; of objects unless the model fixes the shape, so that batches are alike."""
    if arrays and all(isinstance(size, int) for size in shape) and all(np.shape(array) == shape for array in arrays):
        return np.stack(arrays)
    column = np.empty(len(arrays), object)
    for place, array in enumerate(arrays):  # an assignment of the list would also look inside the arrays
        column[place] = array
    return column

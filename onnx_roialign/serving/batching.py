"""Shows by runs whether a model keeps the requests of one batch apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.inputs import generated_inputs
from onnx_roialign.onnx_model.tensor_data import without_weights
from onnx_roialign.serving.load_apart import LoadedApart

__all__ = ["MixedBatchError", "batch_is_kept_apart"]

_SIZES = (1, 2)  # requests of two sizes

# Of an output's largest value: the rounding of larger matrix products is below that, another request's data above.
_ROUNDING = 1e-3


class MixedBatchError(Exception):
    """The results of a request depend on the others in its batch; the message says which output shows it."""


def batch_is_kept_apart(loaded: LoadedApart, model: onnx.ModelProto) -> str | None:
    """Runs two requests apart and in one batch; returns why that could not be done, None after equal results.

    A name of a dimension does not show that: batch indices that are an input, a normalization over the batch or a
    maximum over all boxes mix requests.

    Args:
        loaded: the model in a session.
        model: the same, of which only the inputs and RoiAligns are read.

    Raises:
        MixedBatchError: the results differ.
    """
    try:
        requests = [_request(model, size, seed) for seed, size in enumerate(_SIZES)]
    except RoiAlignError as error:
        return f"no inputs can be generated: {error}"
    joined = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}
    outcomes = loaded.run([*requests, joined])
    failure = next((outcome for outcome in outcomes if isinstance(outcome, str)), None)
    if failure is not None:
        return f"the model does not run on generated inputs: {failure}"
    *apart, together = outcomes
    for place, output in enumerate(loaded.outputs):
        if not _is_joined(together[place], [outcome[place] for outcome in apart]):
            raise MixedBatchError(f"{output.name} of two requests in one batch differs from theirs apart")
    return None


def _request(model: onnx.ModelProto, size: int, seed: int) -> dict[str, Array]:
    light = without_weights(model)
    for value in light.graph.input:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = size
    return generated_inputs(light, seed)


def _is_joined(together: Any, parts: Sequence[Any]) -> bool:
    if any(np.shape(part)[1:] != np.shape(together)[1:] for part in parts):
        return False
    wanted = np.concatenate(parts)
    if wanted.shape != together.shape:
        return False
    if wanted.dtype.kind in "biuOSU":
        return bool(np.array_equal(together, wanted))
    got, want = (array.astype(np.float64) for array in (together, wanted))
    finite = np.abs(want[np.isfinite(want)])
    return bool(np.allclose(got, want, rtol=0, atol=_ROUNDING * finite.max(initial=0), equal_nan=True))

"""The sessions of `session()`: they keep the engine when providers change and check which provider runs RoiAlign."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import onnxruntime

from onnx_roialign.errors import NativeLibraryError, RoiAlignError, one_line
from onnx_roialign.ops.nodes import is_roi_align
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.sessions.options import Source, looking_in
from onnx_roialign.sessions.providers import CPU, assignment, checked_providers

__all__ = ["OwnSession", "Prepare", "RemadeSession"]

# Prepares options for a session with these providers, and returns the model for onnxruntime.
Prepare = Callable[[onnxruntime.SessionOptions, list[Any] | None], Source]


class RemadeSession(onnxruntime.InferenceSession):  # type: ignore[misc]
    """An InferenceSession whose set_providers() prepares the options and the model again.

    Args:
        prepare: called for each set of providers.
        options: the user's options; None: new options each time.
        arguments: further arguments of InferenceSession.
        providers: as for InferenceSession.
        provider_options: as for InferenceSession.
    """

    def __init__(
        self,
        prepare: Prepare,
        options: onnxruntime.SessionOptions | None,
        arguments: Mapping[str, Any],
        providers: object,
        provider_options: Any,
    ) -> None:
        self._arguments = (prepare, options, arguments)
        checked = checked_providers(providers)
        used = onnxruntime.SessionOptions() if options is None else options
        source = prepare(used, checked)
        with looking_in(source.folder, used, shared=options is not None):
            super().__init__(source.model, used, checked, provider_options, **arguments)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise RoiAlignError(
            "session",
            "unsupported",
            "must stay in its process, got one to be pickled or copied; pass onnx_roialign.serving.SessionSpec(model) "
            "instead, whose session() builds it in the process that uses it",
        )

    def set_providers(self, providers: object = None, provider_options: Any = None) -> None:
        """As InferenceSession's; after an error the session is unchanged."""
        self.__dict__.update(self._with_providers(providers, provider_options).__dict__)

    def _with_providers(self, providers: object, provider_options: Any) -> RemadeSession:
        return type(self)(*self._arguments, providers, provider_options)


class OwnSession(RemadeSession):
    """A session in which an engine of this package runs every RoiAlign, with any providers.

    Raises:
        RoiAlignError: another provider runs a RoiAlign, or cannot load the model although it should not run RoiAlign.
    """

    def __init__(
        self,
        prepare: Prepare,
        options: onnxruntime.SessionOptions | None,
        arguments: Mapping[str, Any],
        providers: object,
        provider_options: Any,
    ) -> None:
        try:
            super().__init__(prepare, options, arguments, providers, provider_options)
        except (RoiAlignError, NativeLibraryError):
            raise
        except Exception as error:  # onnxruntime's exceptions have no common base
            if providers != [CPU] and _loads(prepare, options, arguments):
                reason = one_line(error)
                raise RoiAlignError(
                    "providers",
                    "unsupported",
                    "must leave RoiAlign to the CPU, got providers with which onnxruntime cannot load the model, "
                    f"which loads on the CPU alone; leave them out, or use engine='builtin' ({reason})",
                ) from error
            raise
        found = assignment(self) or {}
        not_cpu = {name: nodes for name, nodes in found.items() if name != CPU}
        for name, nodes in not_cpu.items():
            for node in filter(_is_ours, nodes):
                raise RoiAlignError(
                    "RoiAlign",
                    "unsupported",
                    f"must run on the requested engine, got a session in which {name} runs it; "
                    f"leave {name} out of the providers, or use engine='builtin'",
                ).in_node(node.name)
        self._neighbours = sorted(not_cpu) if any(map(_is_ours, found.get(CPU, ()))) else []

    def set_providers(self, providers: object = None, provider_options: Any = None) -> None:
        """As InferenceSession's; after an error the session is unchanged."""
        super().set_providers(providers, provider_options)
        self.warn_of_neighbours(stacklevel=3)

    def warn_of_neighbours(self, stacklevel: int) -> None:
        """Warns if RoiAlign runs on the CPU between nodes that other providers run."""
        if self._neighbours:
            warnings.warn(
                f"RoiAlign runs on the CPU, and {', '.join(self._neighbours)} runs other nodes of this model: "
                "tensors between them are copied; engine='builtin' leaves RoiAlign to onnxruntime",
                stacklevel=stacklevel,
            )


def _loads(prepare: Prepare, options: onnxruntime.SessionOptions | None, arguments: Mapping[str, Any]) -> bool:
    try:
        RemadeSession(prepare, options, arguments, [CPU], None)
    except Exception:  # the providers are not the cause
        return False
    return True


def _is_ours(node: Any) -> bool:
    return is_roi_align(node) or node.domain.split(".")[0] == DOMAIN

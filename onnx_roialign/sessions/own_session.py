"""The sessions of `session()`: they keep the engine when providers change and check which provider runs RoiAlign."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import onnxruntime

from onnx_roialign.engines.native import ep_name
from onnx_roialign.errors import NativeLibraryError, RoiAlignError, one_line
from onnx_roialign.ops.nodes import is_roi_align
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.sessions import own_provider
from onnx_roialign.sessions.options import Source, has_own_threads, looking_in, why_nothing_loads
from onnx_roialign.sessions.providers import CPU, Assignment, assignment, checked_providers

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
        # Creates the session again with other providers.
        self.remake: Callable[[object, Any], RemadeSession] = partial(type(self), prepare, options, arguments)
        checked = checked_providers(providers)
        used = onnxruntime.SessionOptions() if options is None else options
        source = prepare(used, checked)
        handed, handed_options = self._handed_over(used, checked, provider_options)
        with looking_in(source.folder, used, shared=options is not None):
            super().__init__(source.model, used, handed, handed_options, **arguments)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise RoiAlignError(
            "session",
            "unsupported",
            "must stay in its process, got one to be pickled or copied; pass onnx_roialign.serving.SessionSpec(model) "
            "instead, whose session() builds it in the process that uses it",
        )

    def set_providers(self, providers: object = None, provider_options: Any = None) -> None:
        """As InferenceSession's; after an error the session is unchanged."""
        made = self.remake(providers, provider_options)
        self.__class__ = type(made)
        self.__dict__.update(made.__dict__)

    def _handed_over(
        self, options: onnxruntime.SessionOptions, providers: list[Any] | None, provider_options: Any
    ) -> tuple[list[Any] | None, Any]:
        """Returns the providers and their options for InferenceSession."""
        if own_provider.is_wanted(providers):
            raise RoiAlignError(
                "providers",
                "conflict",
                f"must name {ep_name()} only with engine 'native' and door 'provider' or 'auto', got it in another "
                "session; leave it out",
            )
        return own_provider.without_own(providers, provider_options)


class OwnSession(RemadeSession):
    """A session in which an engine of this package runs every RoiAlign, with any providers.

    Raises:
        RoiAlignError: another provider runs a RoiAlign, or cannot load the model although it should not run RoiAlign;
            or no model loads with the options.
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
            self._blame_providers(error, prepare, options, arguments, providers)
            self._blame_options(error, options)
            raise
        self._neighbours: list[str] = []
        self._check_assignment(assignment(self) or {})

    def _blame_providers(
        self,
        error: Exception,
        prepare: Prepare,
        options: onnxruntime.SessionOptions | None,
        arguments: Mapping[str, Any],
        providers: object,
    ) -> None:
        """Raises an error that says so where the providers are the cause of one."""
        if providers != [CPU] and self._loads(prepare, options, arguments):
            raise RoiAlignError(
                "providers",
                "unsupported",
                "must leave RoiAlign to the CPU, got providers with which onnxruntime cannot load the model, "
                f"which loads on the CPU alone; leave them out, or use engine='builtin' ({one_line(error)})",
            ) from error

    def _blame_options(self, error: Exception, options: onnxruntime.SessionOptions | None) -> None:
        """Raises an error that says so where no model loads with the options, whose reason does not name the cause."""
        if options is not None and (reason := why_nothing_loads(options)):
            way_out = f"; {self._way_out()}" if has_own_threads(options) else ""  # else the reason says it
            raise RoiAlignError(
                "sess_options", "failed", f"must load a model, got options that load none ({reason}){way_out}"
            ) from error

    def _way_out(self) -> str:
        """What to do with options that load no model."""
        return "where another library of custom ops has ONNX's own domain, use door='provider'"

    @classmethod
    def _loads(cls, prepare: Any, options: onnxruntime.SessionOptions | None, arguments: Mapping[str, Any]) -> bool:
        """Whether the model loads with the CPU's provider alone, or with this package's beside it."""
        try:
            RemadeSession(prepare, options, arguments, [CPU], None)
        except Exception:  # the providers are not the cause
            return False
        return True

    def _check_assignment(self, found: Assignment) -> None:
        """Refuses the session where another than the engine runs a RoiAlign, and notes who runs other nodes."""
        others = {name: nodes for name, nodes in found.items() if name != CPU}
        for name, nodes in others.items():
            for node in filter(_is_ours, nodes):
                raise self._taken_by(name, node.name)
        self._neighbours = sorted(others) if any(map(_is_ours, found.get(CPU, ()))) else []

    @staticmethod
    def _taken_by(provider: str, node: str) -> RoiAlignError:
        return RoiAlignError(
            "RoiAlign",
            "unsupported",
            f"must run on the requested engine, got a session in which {provider} runs it; "
            f"leave {provider} out of the providers, or use engine='builtin'",
            node=node,
        )

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


def _is_ours(node: Any) -> bool:
    return is_roi_align(node) or node.domain.split(".")[0] == DOMAIN

"""SessionSpec: what a session is made of. It can be pickled, and builds the session in the process that uses it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import onnx
import onnxruntime

from onnx_roialign._session import session
from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import check_threads, flag
from onnx_roialign.engines.by_name import SESSION_ENGINES, check_engine
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.onnx_model.file import Model, to_bytes
from onnx_roialign.serving.per_process import PerProcess
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.options import check_options
from onnx_roialign.sessions.providers import CPU, Providers, checked_providers
from onnx_roialign.sessions.session import Door, check_door

__all__ = ["SessionSpec"]


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """The arguments of `onnx_roialign.session`, for sessions in other processes and on other machines.

    A session holds threads and memory of its process and cannot be pickled. A spec can be, at the size of the model's
    path, by pickle, cloudpickle, multiprocessing, joblib, concurrent.futures, Dask and Ray. Each process builds the
    session at its first use, once for all equal specs and all threads. A process that was forked after that builds
    its own, and must end by os._exit, as multiprocessing's do: ONNX Runtime waits for the parent's threads at exit.

    Args:
        model: path, bytes or ModelProto. A path becomes absolute, and must be right where the session is used; bytes
            are part of every pickle. Models with external data, such as those over 2 GB, need a path.
        engine: as for `onnx_roialign.session`.
        threads: number of threads of the session, at most 1024; None or 0: one per core that the process may run on,
            which is too many if each core has a process.
        optimize: as for `onnx_roialign.session`: it takes seconds in every process.
        door: as for `onnx_roialign.session`.
        providers: as for `onnx_roialign.session`.
        make_options: a function of a module, which returns new `onnxruntime.SessionOptions`; None: the default ones.

    Raises:
        RoiAlignError: an argument has the wrong type or value. The model is read only where the session is built.
    """

    model: str | bytes
    _: KW_ONLY
    engine: str = "native"
    threads: int | None = None
    optimize: bool = False
    door: Door = "auto"
    providers: Providers | None = field(default=(CPU,), hash=False)  # options may be dicts, which have no hash
    make_options: Callable[[], onnxruntime.SessionOptions] | None = None

    if TYPE_CHECKING:  # the arguments may be of more types than the attributes

        def __init__(
            self,
            model: Model,
            *,
            engine: str = "native",
            threads: int | None = None,
            optimize: bool = False,
            door: Door = "auto",
            providers: Providers | None = (CPU,),
            make_options: Callable[[], onnxruntime.SessionOptions] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", _portable(self.model))
        check_engine(self.engine, SESSION_ENGINES)
        object.__setattr__(self, "threads", check_threads(self.threads) or None)
        object.__setattr__(self, "optimize", flag("optimize", self.optimize))
        check_door(self.door)
        providers = checked_providers(self.providers)
        object.__setattr__(self, "providers", None if providers is None else tuple(deepcopy(providers)))
        if self.make_options is not None and not callable(self.make_options):
            raise RoiAlignError(
                "make_options", "type", f"must be a function without arguments, got {shown(self.make_options)}"
            )

    def __repr__(self) -> str:
        values = ", ".join(f"{one.name}={shown(getattr(self, one.name))}" for one in fields(self))
        return f"SessionSpec({values})"

    def session(self) -> onnxruntime.InferenceSession:
        """Returns this process's session; the first call builds it.

        Raises:
            RoiAlignError: as `onnx_roialign.session`.
            NativeLibraryError: as `onnx_roialign.session`.
        """
        return _SESSIONS.get(self, self._build)

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Any]:
        """Runs this process's session, as `InferenceSession.run` does, also on arrays of bfloat16.

        Args:
            output_names: the outputs to return; None: all.
            feeds: arrays by input name.
        """
        return run_session(self.session(), feeds, output_names)

    def close(self) -> None:
        """Frees this process's session once no thread uses it; the next use builds a new one."""
        _SESSIONS.drop(self)

    def _build(self) -> onnxruntime.InferenceSession:
        options = None
        if self.make_options is not None:
            options = self.make_options()
            check_options(options)
        if self.threads is not None:
            options = onnxruntime.SessionOptions() if options is None else options
            options.intra_op_num_threads = self.threads
        return session(
            self.model,
            options,
            engine=self.engine,
            optimize=self.optimize,
            door=self.door,
            providers=self.providers,
        )


def _portable(model: Model) -> str | bytes:
    """Returns a model in a form that another process can read."""
    if isinstance(model, onnx.ModelProto):
        return to_bytes(model)
    if isinstance(model, bytes):
        return model
    path = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise RoiAlignError("model", "type", f"must be a path, bytes or a ModelProto, got {type(model).__name__}")
    return os.path.abspath(path)


_SESSIONS: PerProcess[onnxruntime.InferenceSession] = PerProcess()

"""`onnx_roialign.session`: a session of the model as it is, or with its poolers and mask pasting fused before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.file import Model, parse
from onnx_roialign.onnx_model.scopes import has_external_data
from onnx_roialign.sessions import session as sessions
from onnx_roialign.sessions.providers import CPU, Providers

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["session"]


def session(
    model: Model,
    sess_options: onnxruntime.SessionOptions | None = None,
    *,
    engine: str = "native",
    optimize: bool = False,
    providers: Providers | None = (CPU,),
    provider_options: Sequence[Mapping[Any, Any]] | None = None,
    **kwargs: Any,
) -> onnxruntime.InferenceSession:
    """Builds an onnxruntime session in which every RoiAlign, the private ones of this package too, runs on one engine.

    That holds beside every provider: where there is one beside the CPU's, the session gets a copy of the model with
    RoiAligns of a name that no provider knows, and is asked, once it is there, whether one took a RoiAlign all the same
    (onnxruntime 1.24 and newer can say). `set_providers()` keeps to it.

    Args:
        model: path, bytes or ModelProto. Models with external data, and so those over 2 GB, work from a path.
        sess_options: the session's options, which gain what the engine needs and can be passed again, with the same
            engine or another, for any model; not shared with another thread meanwhile.
        engine: "native", the compiled library in the place of onnxruntime's own kernel; "reference", NumPy inside the
            session (slow; runs of one session wait for each other); "builtin", onnxruntime's own kernel, which knows no
            private op.
        optimize: whether `onnx_roialign.graph.fuse` runs first: poolers of feature pyramids and mask pasting become
            one op each, where that is proved to change nothing. It takes seconds, at every start; the command
            ``onnx-roialign optimize`` writes the model once.
        providers: execution providers, best first, as names or (name, options); None: onnxruntime's default.
        provider_options: the options of each, where `providers` are names.
        **kwargs: further arguments of `onnxruntime.InferenceSession`.

    Returns:
        The session. The model itself is never changed.

    Raises:
        RoiAlignError: an unknown engine, no model, a RoiAlign that cannot be answered, providers that are no list or of
            which one took a RoiAlign, options that cannot be used, or
            `optimize` with a model whose data lies in other files.
        NativeLibraryError: the compiled library is missing, or onnxruntime is too old for it.
    """
    if optimize:
        from onnx_roialign.graph import fuse  # onnx-ir and its passes are slow to import

        proto = parse(model)
        if has_external_data(proto):
            raise RoiAlignError(
                "optimize must be False for a model whose data lies in other files, got True; write the optimized "
                "model beside them (onnx-roialign optimize MODEL -o OUT), and open that"
            )
        model = fuse(proto).model
    return sessions.session(
        model, sess_options, engine=engine, providers=providers, provider_options=provider_options, **kwargs
    )

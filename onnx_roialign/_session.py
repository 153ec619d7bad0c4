"""`onnx_roialign.session`: a session of a model, optionally after fusing its poolers and mask pasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onnx_roialign.definition.attributes import flag
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
    door: sessions.Door = "auto",
    optimize: bool = False,
    providers: Providers | None = (CPU,),
    provider_options: Sequence[Mapping[Any, Any]] | None = None,
    **kwargs: Any,
) -> onnxruntime.InferenceSession:
    """Creates an onnxruntime session in which every RoiAlign, also this package's private ones, runs on one engine.

    This holds with any providers. With a provider other than the CPU's, the session gets a copy of the model in which
    the RoiAligns have an operator name that no provider supports; onnxruntime 1.24 or newer then reports whether a
    provider took one nevertheless. `set_providers()` keeps the engine.

    Args:
        model: path, bytes or ModelProto. Models with external data, such as those over 2 GB, need a path.
        sess_options: the session's options. The engine adds what it needs; the options can be used again with any
            engine and model. No other thread may use them during the call.
        engine: "native", the compiled library instead of onnxruntime's own kernel; "reference", NumPy inside the
            session (slow; concurrent runs of one session wait for each other); "builtin", onnxruntime's own kernel,
            which does not have the private operators.
        door: how the compiled library comes into the session. "provider": as an execution provider (needs onnxruntime
            1.24.1), which gets the model as it is and stands first where `providers` does not name it
            (`onnx_roialign.ep_name()`); what providers before it take is theirs, of which a warning tells. "custom_op":
            as a custom op. "auto": the provider where `providers` names it, or names the CPU's alone. In the second
            case the custom op runs what would not mean the same with the provider (a function of another opset, an
            attribute or a type before the opset that has it, a RoiAlign of constants), and before onnxruntime 1.25.1
            every session with options, which would keep the provider. Both compute the same bits.
        optimize: whether `onnx_roialign.graph.fuse` runs first. It replaces poolers of feature pyramids and mask
            pasting by one operator each, after a test that results do not change. This takes seconds at every start;
            the command ``onnx-roialign optimize`` writes the model once.
        providers: execution providers in order of preference, as names or (name, options); None: onnxruntime's default.
        provider_options: the options of each provider, if `providers` are names.
        **kwargs: further arguments of `onnxruntime.InferenceSession`.

    Returns:
        The session. The model is not changed.

    Raises:
        RoiAlignError: the engine is unknown; the model cannot be read, has an invalid RoiAlign, or has external data
            with `optimize`; providers is not a list, or a provider took a RoiAlign; the options cannot be used; or the
            model would not mean the same with door "provider".
        NativeLibraryError: the compiled library is missing, or onnxruntime is too old for it.
    """
    if flag("optimize", optimize):
        from onnx_roialign.graph import fuse  # onnx-ir and its passes are slow to import

        proto = parse(model)
        if has_external_data(proto):
            raise RoiAlignError(
                "optimize",
                "unsupported",
                "must be False for a model whose data lies in other files, got True; write the optimized "
                "model beside them (onnx-roialign optimize MODEL -o OUT) and open it",
            )
        model = fuse(proto).model
    return sessions.session(
        model, sess_options, engine=engine, door=door, providers=providers, provider_options=provider_options, **kwargs
    )

"""This package's execution provider: registered with onnxruntime, and put among the providers of a session."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from onnx_roialign.engines.installation import library_path
from onnx_roialign.engines.native import ep_name
from onnx_roialign.errors import NativeLibraryError, RoiAlignError, one_line, shown
from onnx_roialign.sessions.options import config_entry, has_providers, version
from onnx_roialign.sessions.providers import CPU, name_of

__all__ = [
    "add_to",
    "check_supported",
    "devices",
    "is_in",
    "is_supported",
    "is_wanted",
    "takes_names",
    "with_own",
    "without_own",
]

_SINCE = (1, 24, 1)
_NAMES_SINCE = (1, 25, 1)

_LIBRARY = "onnx_roialign"  # its name in onnxruntime
_REGISTERING = threading.Lock()

# An option that the provider sets itself, by the name under which onnxruntime keeps it.
_MARKER_ENTRY = f"ep.{ep_name().lower()}.registration"
# The providers that `add_to` added, which onnxruntime cannot be asked for.
_ADDED_ENTRY = "onnx_roialign.providers"


def is_supported() -> bool:
    """Whether onnxruntime takes providers from outside."""
    return version() >= _SINCE


def check_supported() -> None:
    """Refuses an onnxruntime that is too old for providers from outside.

    Raises:
        NativeLibraryError: the text says which version is needed, and what else can be done.
    """
    if not is_supported():
        raise NativeLibraryError(
            f"onnxruntime must be {'.'.join(map(str, _SINCE))} or newer for door 'provider', got "
            f"{onnxruntime.__version__}: pip install -U onnxruntime, or use door='custom_op'"
        )


def takes_names() -> bool:
    """Whether onnxruntime takes the provider by its name; else only session options can have it.

    Of two copies of the library, each of which somebody registered, the name would mean the first.
    """
    return version() >= _NAMES_SINCE and len(_registered()) < 2


def devices() -> list[Any]:
    """Returns onnxruntime's handle of the provider, after registering the library where nobody has.

    Raises:
        NativeLibraryError: the library is missing, or onnxruntime cannot load it.
    """
    path = library_path()
    with _REGISTERING:
        if not _found():
            try:
                onnxruntime.register_execution_provider_library(_LIBRARY, path)
            except Exception as error:  # onnxruntime's have no common base
                raise NativeLibraryError(
                    f"the compiled library cannot be registered as an execution provider ({one_line(error)}): "
                    "use door='custom_op'"
                ) from error
        return _found()


def _found() -> list[Any]:
    """One of them, of this package's library before any other copy, where onnxruntime tells them apart (since 1.25)."""
    return sorted(_registered(), key=lambda device: device.ep_metadata.get("library_path") != library_path())[:1]


def _registered() -> list[Any]:
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == ep_name()]


def is_in(options: onnxruntime.SessionOptions) -> bool:
    """Whether the provider was added to the options."""
    return config_entry(options, _MARKER_ENTRY) is not None


def is_wanted(providers: Sequence[Any] | None) -> bool:
    """Whether `checked_providers` name the provider where it gets nodes: not behind the CPU's, which takes all.

    There `onnxruntime.get_available_providers()` lists it once the library is registered, which is no wish.
    """
    names = [name_of(provider) for provider in providers or ()]
    return ep_name() in names and CPU not in names[: names.index(ep_name())]


def without_own(providers: list[Any] | None, provider_options: Any) -> tuple[list[Any] | None, Any]:
    """Returns providers and their options, as onnxruntime takes them, without this package's."""
    kept = [i for i, provider in enumerate(providers or ()) if name_of(provider) != ep_name()]
    if providers is None or len(kept) == len(providers):
        return providers, provider_options
    if provider_options is not None:
        _check_options(providers, provider_options)
        provider_options = [provider_options[i] for i in kept]
    return [providers[i] for i in kept], provider_options


def with_own(providers: list[Any] | None, provider_options: Any) -> tuple[list[Any], Any]:
    """Puts the provider first, unless the caller named it, in whose order it stays.

    Args:
        providers: as onnxruntime takes them; None: its default, which are all that it has.
        provider_options: the same.

    Raises:
        RoiAlignError: the options are not one mapping for each provider.
    """
    if providers and provider_options is not None:
        _check_options(providers, provider_options)
    if providers is None:
        return [ep_name(), *(name for name in onnxruntime.get_available_providers() if name != ep_name())], None
    if any(name_of(provider) == ep_name() for provider in providers):
        return providers, provider_options
    return [ep_name(), *providers], [{}, *provider_options] if provider_options else None


def _check_options(providers: Sequence[Any], provider_options: Any) -> None:
    """Refuses options that onnxruntime would refuse after this package's provider was put among the providers."""
    if not isinstance(provider_options, Sequence) or not all(isinstance(one, Mapping) for one in provider_options):
        raise RoiAlignError(
            "provider_options", "type", f"must be a list of dicts, got {shown(provider_options)}; pass one per provider"
        )
    if len(provider_options) != len(providers):
        raise RoiAlignError(
            "provider_options",
            "conflict",
            f"must have the same length as providers, got {len(provider_options)} for {len(providers)}",
        )


def add_to(options: onnxruntime.SessionOptions, providers: Sequence[Any], provider_options: Any = None) -> None:
    """Adds providers to options, from which nobody can take them away; nothing is done where they are there.

    Args:
        options: of no other providers.
        providers: names or (name, options), this package's among them.
        provider_options: of each, if they are names.

    Raises:
        RoiAlignError: the options have other providers.
        NativeLibraryError: as in `devices`.
    """
    added = config_entry(options, _ADDED_ENTRY)
    given = [
        (name_of(provider), _texts(provider[1] if isinstance(provider, tuple) else extra))
        for provider, extra in zip(providers, provider_options or [{}] * len(providers), strict=True)
    ]
    if added is None and has_providers(options):
        raise RoiAlignError(
            "sess_options",
            "conflict",
            "must have no providers of their own with door 'provider', got options that providers were added to; "
            "pass new ones",
        )
    if added not in (None, repr(given)):
        raise RoiAlignError(
            "sess_options",
            "conflict",
            f"must keep the providers that were added to them, got other ones with onnxruntime "
            f"{onnxruntime.__version__}, which takes none away; pass new ones",
        )
    if added is None:
        for name, texts in given:
            if name == ep_name():
                options.add_provider_for_devices(devices(), texts)
            else:
                options.add_provider(name, texts)
        options.add_session_config_entry(_ADDED_ENTRY, repr(given))


def _texts(options: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in options.items()}

"""The command line, called in this process, and its commands with their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import typer
from typer.testing import CliRunner

from onnx_roialign.cli.main import app


def invoke(*arguments: object, **options: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


class Parameter(NamedTuple):
    """A parameter of a command, as its function declares it."""

    command: str
    names: tuple[str, ...]  # of an option; empty for an argument
    kind: type
    repeated: bool
    help: str


def commands() -> dict[str, Callable[..., Any]]:
    """Each command's function, "conform compare" too, and "" for onnx-roialign itself."""
    return dict(_commands(app, ""))


def _commands(group: typer.Typer, name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    if group.registered_callback is not None and group.registered_callback.callback is not None:
        yield name, group.registered_callback.callback
    for found in group.registered_commands:
        assert found.callback is not None
        yield f"{name} {found.name or found.callback.__name__}".strip(), found.callback
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from _commands(below.typer_instance, f"{name} {below.name}".strip())


def parameters() -> Iterator[Parameter]:
    """The parameters of all commands."""
    for command, callback in commands().items():
        for name, hint in get_type_hints(callback, include_extras=True).items():
            if name == "return" or hint is typer.Context:
                continue
            assert get_origin(hint) is Annotated, (command, name)
            kind, told = get_args(hint)
            plain = [part for part in get_args(kind) if part is not type(None)] or [kind]
            repeated = get_origin(plain[0]) is list
            inner = get_args(plain[0])[0] if repeated else plain[0]
            given = (told.default, *(told.param_decls or ()))  # typer takes the first for a default
            names = [one for one in given if isinstance(one, str)] or [f"--{name.replace('_', '-')}"]
            is_option = isinstance(told, typer.models.OptionInfo)
            yield Parameter(command, tuple(names) if is_option else (), inner, repeated, told.help or "")

"""Tests that an option means one thing: one type and one first sentence of help in every command that has it."""

from __future__ import annotations

import re
from collections import defaultdict

import command_line
import pytest

BY_NAME = defaultdict(list)
for parameter in command_line.parameters():
    for name in parameter.names:
        BY_NAME[name].append(parameter)
SHARED = {name: found for name, found in BY_NAME.items() if len(found) > 1}


def meaning(parameter):
    """The help up to its first full stop or colon; what follows may name a command's own values and default."""
    return re.split(r"[.:;](?: |$)", parameter.help)[0]


def test_the_commands_share_options():
    assert {
        "--json",
        "--output",
        "-o",
        "--inputs",
        "--source",
        "--engine",
        "--repeat",
        "--private-op/--no-private-op",
    } <= set(SHARED)


@pytest.mark.parametrize("name", sorted(SHARED))
def test_an_option_has_one_type_and_one_meaning(name):
    assert {parameter.kind for parameter in SHARED[name]} == {SHARED[name][0].kind}
    meanings = {parameter.command: meaning(parameter) for parameter in SHARED[name]}
    assert len(set(meanings.values())) == 1, meanings
    assert all(meanings.values())


@pytest.mark.parametrize("parameter", [one for one in command_line.parameters() if one.names], ids=str)
def test_an_option_that_can_be_repeated_is_said_to_be(parameter):
    assert ("an be repeated" in parameter.help) == parameter.repeated


@pytest.mark.parametrize("short", sorted(name for name in BY_NAME if not name.startswith("--")))
def test_a_short_name_stands_for_one_long_name(short):
    assert len({tuple(name for name in parameter.names if name != short) for parameter in BY_NAME[short]}) == 1


def test_every_option_has_a_help():
    assert [
        parameter
        for parameter in command_line.parameters()
        if not parameter.help and "--no-proof" not in parameter.names
    ] == []

"""The guides are there for every host, and what they name exists."""

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from agentphone_mcp.commands.main import main
from agentphone_mcp.config.config import Config
from agentphone_mcp.features.guides import GUIDES, Guide
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.server.server import create_server
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
EVERY = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
# Words of the API that no schema of ours has.
OF_THE_API = {"press_digit", "registration_required"}


@ERAS
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="all"),
        pytest.param({"toolsets": ("account",)}, id="one-toolset"),
        pytest.param({"read_only": True}, id="read-only"),
    ],
)
async def test_every_guide_is_listed_and_read(connect: Any, mode: str, settings: dict[str, Any]) -> None:
    """In one order, whatever the tools; a host shows the title and the description."""
    async with connect(mode, **settings) as client:
        listed = [one for one in (await client.list_resources()).resources if "/guides/" in str(one.uri)]
        read = [(await client.read_resource(guide.uri)).contents[0] for guide in GUIDES]
    assert [(str(one.uri), one.name, one.title, one.description, one.mime_type) for one in listed] == [
        (guide.uri, guide.name, guide.title, guide.description, "text/markdown") for guide in GUIDES
    ]
    assert [(one.text, one.mime_type) for one in read] == [(guide.read(), "text/markdown") for guide in GUIDES]


@EVERY
def test_a_guide_can_be_read_at_one_sitting(guide: Guide) -> None:
    """It begins with its title, and its description is one sentence."""
    lines = guide.read().splitlines()
    assert 60 <= len(lines) <= 180
    assert lines[0] == f"# {guide.title}"
    assert re.fullmatch(r"[A-Z][^.]+\.", guide.description)


def prose(guide: Guide) -> str:
    """The text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", guide.read(), flags=re.DOTALL | re.MULTILINE)


def inline(guide: Guide) -> set[str]:
    """What stands in backticks in the text."""
    return set(re.findall(r"`([^`\n]+)`", prose(guide)))


@EVERY
def test_all_code_is_fenced(guide: Guide) -> None:
    """Indented code would be run by nobody."""
    assert not re.search(r"^(?: {4}|\t)", prose(guide), flags=re.MULTILINE)


def names_in(schema: Any) -> Iterator[str]:
    """Every property of a schema, and every value that it enumerates."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (value for value in [*schema.get("enum", []), schema.get("const")] if isinstance(value, str))
        for inner in schema.values():
            yield from names_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from names_in(inner)


@EVERY
async def test_tools_and_their_arguments_exist(guide: Guide) -> None:
    """Whatever looks like the name of one."""
    tools = await create_server(Config()).list_tools()
    known = {tool.name for tool in tools} | OF_THE_API | {cap.name for cap in Limits.parse("").limits}
    for tool in tools:
        known |= {*names_in(tool.input_schema), *names_in(tool.output_schema)}
    named = {name for name in inline(guide) if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)}
    assert named <= known


def commands(command: click.Command) -> Iterator[click.Command]:
    """A command and all below it."""
    yield command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            if inner := command.get_command(ctx, name):
                yield from commands(inner)


@EVERY
def test_variables_and_options_exist(guide: Guide) -> None:
    """Wherever they stand, code included."""
    options = [one for command in commands(main) for one in command.params if isinstance(one, click.Option)]
    variables = {str(one.envvar) for one in options} | {KEY_VARIABLE, KEY_FILE_VARIABLE}
    assert set(re.findall(r"AGENTPHONE_[A-Z_]+", guide.read())) <= variables
    flags = {flag for one in options for flag in one.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", guide.read())) <= flags


@EVERY
def test_guides_point_to_guides_that_exist(guide: Guide) -> None:
    """By the address at which a host reads them."""
    assert set(re.findall(r"agentphone://guides/[\w-]*", guide.read())) <= {one.uri for one in GUIDES}


@EVERY
def test_answers_within_a_sentence_are_json(guide: Guide) -> None:
    """They are copied as often as the blocks are."""
    for said in inline(guide):
        if said[0] in "{[":
            json.loads(said)

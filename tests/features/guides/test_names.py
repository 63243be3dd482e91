"""Test that every host gets the guides, and that the names in them exist."""

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

EVERY = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
# Words of the API that no schema of ours has.
OF_THE_API = {"press_digit", "registration_required"}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="all"),
        pytest.param({"toolsets": ("account",)}, id="one-toolset"),
        pytest.param({"read_only": True}, id="read-only"),
    ],
)
async def test_every_guide_is_listed_and_read(connect: Any, mode: str, settings: dict[str, Any]) -> None:
    async with connect(mode, **settings) as client:
        listed = [resource for resource in (await client.list_resources()).resources if "/guides/" in str(resource.uri)]
        read = [(await client.read_resource(guide.uri)).contents[0] for guide in GUIDES]
    assert [(str(each.uri), each.name, each.title, each.description, each.mime_type) for each in listed] == [
        (guide.uri, guide.name, guide.title, guide.description, "text/markdown") for guide in GUIDES
    ]
    assert [(content.text, content.mime_type) for content in read] == [
        (guide.read(), "text/markdown") for guide in GUIDES
    ]


@EVERY
def test_a_guide_can_be_read_at_one_sitting(guide: Guide) -> None:
    lines = guide.read().splitlines()
    assert 60 <= len(lines) <= 180
    assert lines[0] == f"# {guide.title}"
    assert re.fullmatch(r"[A-Z][^.]+\.", guide.description)


def prose(guide: Guide) -> str:
    """Return the text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", guide.read(), flags=re.DOTALL | re.MULTILINE)


def inline(guide: Guide) -> set[str]:
    """Return what stands in backticks in the text."""
    return set(re.findall(r"`([^`\n]+)`", prose(guide)))


@EVERY
def test_all_code_is_fenced(guide: Guide) -> None:
    assert not re.search(r"^(?: {4}|\t)", prose(guide), flags=re.MULTILINE)


def names_in(schema: Any) -> Iterator[str]:
    """Yield every property of a schema, and every value that it enumerates."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (value for value in [*schema.get("enum", []), schema.get("const")] if isinstance(value, str))
        for part in schema.values():
            yield from names_in(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from names_in(part)


@EVERY
async def test_tools_and_their_arguments_exist(guide: Guide) -> None:
    tools = await create_server(Config()).list_tools()
    existing = {tool.name for tool in tools} | OF_THE_API | {limit.name for limit in Limits.parse("").limits}
    for tool in tools:
        existing |= {*names_in(tool.input_schema), *names_in(tool.output_schema)}
    assert {name for name in inline(guide) if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)} <= existing


def commands(command: click.Command) -> Iterator[click.Command]:
    """Yield a command and all its subcommands."""
    yield command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            if subcommand := command.get_command(ctx, name):
                yield from commands(subcommand)


@EVERY
def test_variables_and_options_exist(guide: Guide) -> None:
    options = [option for command in commands(main) for option in command.params if isinstance(option, click.Option)]
    variables = {str(option.envvar) for option in options} | {KEY_VARIABLE, KEY_FILE_VARIABLE}
    assert set(re.findall(r"AGENTPHONE_[A-Z_]+", guide.read())) <= variables
    flags = {flag for option in options for flag in option.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", guide.read())) <= flags


@EVERY
def test_guides_point_to_guides_that_exist(guide: Guide) -> None:
    assert set(re.findall(r"agentphone://guides/[\w-]*", guide.read())) <= {guide.uri for guide in GUIDES}


@EVERY
def test_answers_within_a_sentence_are_json(guide: Guide) -> None:
    for text in inline(guide):
        if text[0] in "{[":
            json.loads(text)

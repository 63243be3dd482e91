"""What is answered before the SDK is there is what the SDK answers, and what is not known exactly waits for it."""

import asyncio
import json
import runpy
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from agentphone_mcp.server.stdio.early_answers import PrecomputedAnswers
from agentphone_mcp.server.stdio.surface import SURFACE, select
from agentphone_mcp.variables import TOOLSETS
from tests.support import ROOT

GOLDEN = runpy.run_path(str(ROOT / "tests" / "golden" / "regenerate.py"))
answers_of_the_sdk, request, MODERN = GOLDEN["answers_of_the_sdk"], GOLDEN["request"], GOLDEN["MODERN"]
CLIENT = {"name": "test", "version": "1"}
SELECTIONS = [chosen for size in range(len(TOOLSETS) + 1) for chosen in combinations(TOOLSETS, size)]
MODES = pytest.mark.parametrize("read_only", [False, True], ids=["all", "read-only"])


def hello(version: str = "2025-11-25", **more: Any) -> dict[str, Any]:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT} | more
    return request(0, "initialize", params)


def early(messages: list[Any], toolsets: tuple[str, ...] = TOOLSETS, *, read_only: bool = False) -> list[Any]:
    """What is answered early to these messages, as it goes over the wire; None for each that waits."""
    scope = "read" if read_only else "spend"
    answers = PrecomputedAnswers(select(json.loads(SURFACE.read_text(encoding="utf-8")), toolsets, scope))
    given = [answers.to(message if isinstance(message, str) else json.dumps(message)) for message in messages]
    return [{"jsonrpc": "2.0", "id": one.id, "result": one.result} if one else None for one in given]


def test_the_written_surface_is_the_sdks() -> None:
    written, wanted = (json.loads(text) for text in (SURFACE.read_text(encoding="utf-8"), GOLDEN["wire"]()))
    assert written | {"made_with": None} == wanted | {"made_with": None}, "run `python tests/golden/regenerate.py`"


@MODES
async def test_every_selection_of_toolsets_is_answered_as_the_sdk_answers(read_only: bool) -> None:
    old = [hello(), request(1, "tools/list")]
    new = [request(0, "server/discover", {"_meta": MODERN}), request(1, "tools/list", {"_meta": MODERN})]
    for toolsets in SELECTIONS:
        for messages in (old, new):
            told = await answers_of_the_sdk(messages, toolsets=toolsets, read_only=read_only)
            assert early(messages, toolsets, read_only=read_only) == told, toolsets


@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, "2026-07-28", "1999-01-01", "", "späť"])
async def test_every_protocol_version_is_agreed_on_as_the_sdk_does(version: str) -> None:
    messages = [hello(version), request(1, "tools/list")]
    assert early(messages) == await answers_of_the_sdk(messages)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"requires_human_approval": True}, id="human-approval"),
        pytest.param({"sub_account": "acc_child"}, id="sub-account"),
        pytest.param({"ai_disclosure": False}, id="no-disclosure"),
        pytest.param({"base_url": "http://127.0.0.1:9"}, id="loopback"),
    ],
)
async def test_no_other_setting_changes_what_is_said(settings: dict[str, Any]) -> None:
    messages = [hello(), request(1, "tools/list")]
    assert early(messages) == await answers_of_the_sdk(messages, **settings)


HELLOS = {
    "claude-desktop": {"capabilities": {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html"]}}}},
    "vs-code": {
        "capabilities": {
            "roots": {"listChanged": True},
            "sampling": {"context": {}, "tools": {}},
            "elicitation": {"form": {"applyDefaults": True}, "url": {}},
            "tasks": {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}},
        }
    },
    "described-client": {
        "clientInfo": CLIENT
        | {"title": "Тест", "description": "A \u260e", "websiteUrl": "https://host.example"}
        | {"icons": [{"src": "data:image/png;base64,AA==", "mimeType": "image/png", "sizes": ["48x48"]}]}
    },
    "progress": {"_meta": {"progressToken": 7, "traceparent": "00-0-0-00"}},
    "own-capability": {"capabilities": {"example.com/own": 1}},
}


@pytest.mark.parametrize("more", HELLOS.values(), ids=HELLOS.keys())
async def test_what_hosts_say_of_themselves_is_understood(more: dict[str, Any]) -> None:
    messages = [
        hello(**more),
        request(1, "tools/list", {"_meta": {"progressToken": "t"}}),
        request(2, "tools/list", {}),
    ]
    assert early(messages) == await answers_of_the_sdk(messages)


WAITING = {
    "no-params": request(0, "initialize"),
    "no-version": request(0, "initialize", {"capabilities": {}, "clientInfo": CLIENT}),
    "nameless-client": hello(clientInfo={"version": "1"}),
    "numbered-client": hello(clientInfo={"name": "test", "version": 1}),
    "odd-icons": hello(clientInfo=CLIENT | {"icons": [{"src": "x", "sizes": 48}]}),
    "odd-capabilities": hello(capabilities=[]),
    "odd-roots": hello(capabilities={"roots": {"listChanged": "yes"}}),
    "odd-sampling": hello(capabilities={"sampling": {"tools": True}}),
    "odd-tasks": hello(capabilities={"tasks": {"requests": {"sampling": 1}}}),
    "nested-too-deep": hello(capabilities={"experimental": {"a": json.loads("[" * 250 + "]" * 250)}}),
    "fraction": hello(capabilities={"experimental": {"a": {"b": 0.5}}}),
    "id-of-nobody": hello() | {"id": None},
    "id-that-is-a-truth": hello() | {"id": True},
    "id-that-is-a-fraction": hello() | {"id": 1.5},
    "another-jsonrpc": hello() | {"jsonrpc": "1.0"},
    "more-than-a-request": hello() | {"result": {}},
    "batch": [hello()],
    "no-json": "{",
    "half-a-character": json.dumps(hello(clientInfo=CLIENT | {"title": "X"})).replace("X", "\\ud800"),
    "name-twice": json.dumps(hello()).replace('"id": 0', '"id": 0, "id": 3'),
    "no-number": json.dumps(hello()).replace('"id": 0', '"id": NaN'),
    "huge": hello(clientInfo=CLIENT | {"title": "x" * 200_000}),
    "tools-first": request(0, "tools/list"),
    "ping-first": request(0, "ping"),
    "call-first": request(0, "tools/call", {"name": "list_agents", "arguments": {}}),
    "notification-first": {"jsonrpc": "2.0", "method": "notifications/initialized"},
    "discover-without-its-envelope": request(0, "server/discover"),
    "discover-in-another-version": request(
        0, "server/discover", {"_meta": MODERN | {"io.modelcontextprotocol/protocolVersion": "2027-01-01"}}
    ),
    "discover-without-capabilities": request(
        0, "server/discover", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
    ),
    "discover-with-a-log-level": request(
        0, "server/discover", {"_meta": MODERN | {"io.modelcontextprotocol/logLevel": "loud"}}
    ),
}


@pytest.mark.parametrize("message", WAITING.values(), ids=WAITING.keys())
def test_what_is_not_known_waits_and_so_does_all_after_it(message: Any) -> None:
    assert early([message, hello() | {"id": 8}, request(9, "tools/list")]) == [None, None, None]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(request(5, "tools/list", {"cursor": "2"}), id="another-page"),
        pytest.param(request(5, "tools/list", {"_meta": MODERN}), id="the-other-era"),
        pytest.param(request(5, "server/discover", {"_meta": MODERN}), id="discover"),
        pytest.param(request(5, "tools/call", {"name": "list_agents", "arguments": {}}), id="call"),
        pytest.param(request(0, "tools/list"), id="an-id-again"),
        pytest.param({"jsonrpc": "2.0", "method": "notifications/initialized"}, id="notification"),
        pytest.param("\r\n", id="blank"),
    ],
)
def test_what_waits_after_the_handshake_keeps_no_list_waiting(message: Any) -> None:
    said = early([hello(), message, request(9, "tools/list")])
    assert said[1] is None
    assert said[2] == early([hello(), request(9, "tools/list")])[1] is not None


@pytest.mark.parametrize(
    "again", [hello() | {"id": 5}, "{", [request(5, "ping")]], ids=["handshake", "no-json", "batch"]
)
def test_after_what_may_change_all_nothing_is_answered(again: Any) -> None:
    """A second handshake may agree on another version, and nobody knows what else is in what cannot be read."""
    assert early([hello(), again, request(9, "tools/list")])[1:] == [None, None]


JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-3, 3) | some.sampled_from(["", "x", "2026-07-28"]),
    lambda inner: (
        some.lists(inner, max_size=2)
        | some.dictionaries(
            some.sampled_from(["form", "url", "tools", "context", "listChanged", "a"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def mostly(valid: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    """What is right, and now and then something else: a message with two faults shows neither."""
    return some.integers(0, 9).flatmap(lambda chance: JSON if chance == 9 else valid)


CAPABILITIES = mostly(
    some.fixed_dictionaries(
        {},
        optional={
            "roots": mostly(some.sampled_from([{}, {"listChanged": True}])),
            "sampling": mostly(some.sampled_from([{}, {"tools": {}, "context": {}}])),
            "elicitation": mostly(some.sampled_from([{}, {"form": {"a": 1}, "url": {}}])),
            "tasks": mostly(some.sampled_from([{}, {"requests": {"elicitation": {"create": {}}}}])),
            "extensions": mostly(some.sampled_from([{}, {"a": {"b": [1]}}])),
            "own": JSON,
        },
    )
)
ICON = some.fixed_dictionaries(
    {"src": some.just("x")}, optional={"sizes": mostly(some.just(["1x1"])), "mimeType": JSON}
)
CLIENTS = mostly(
    some.fixed_dictionaries(
        {"name": mostly(some.just("test")), "version": mostly(some.just("1"))},
        optional={"title": mostly(some.just("Test")), "icons": mostly(some.lists(ICON, max_size=2))},
    )
)
METAS = some.fixed_dictionaries(
    {},
    optional={
        "progressToken": mostly(some.sampled_from([0, "t"])),
        "traceparent": JSON,
        "io.modelcontextprotocol/logLevel": mostly(some.just("info")),
    },
)
OLD = some.builds(
    lambda capabilities, client, meta: hello(capabilities=capabilities, clientInfo=client, _meta=meta),
    CAPABILITIES,
    CLIENTS,
    mostly(METAS),
)
NEW = some.builds(
    lambda method, capabilities, client, meta: request(
        0, method, {"_meta": MODERN | dict(zip(list(MODERN)[1:], (client, capabilities), strict=True)) | meta}
    ),
    some.sampled_from(["server/discover", "tools/list"]),
    CAPABILITIES,
    CLIENTS,
    METAS,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(first=OLD | NEW, meta=METAS, envelope=some.booleans())
def test_whatever_is_answered_early_the_sdk_answers_the_same(
    first: dict[str, Any], meta: dict[str, Any], envelope: bool
) -> None:
    messages = [first, request(1, "tools/list", {"_meta": (MODERN if envelope else {}) | meta})]
    answered = [one for one in early(messages) if one]
    told = asyncio.run(answers_of_the_sdk(messages)) if answered else []
    assert all(one in told for one in answered)

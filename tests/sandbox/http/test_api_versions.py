"""Check the fields, envelopes and errors of each API version."""

from typing import Any, get_args

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.http.api_versions import ANSWERS, API_VERSIONS, SHAPES, ApiVersion

GROUPS = {"groupId", "groupName", "groupIconUrl", "participants"}


@pytest.mark.parametrize(
    ("api_version", "path", "keys"),
    [
        pytest.param("seeds", "/v1/numbers", {"data", "total"}, id="seeds-numbers"),
        pytest.param("new", "/v1/numbers", {"data", "hasMore", "total"}, id="new-numbers"),
        pytest.param("new", "/v1/agents", {"data", "total"}, id="new-agents"),
        pytest.param("seeds", "/v1/numbers/num_frontdesk/messages", {"data", "total"}, id="seeds-texts"),
        pytest.param("new", "/v1/numbers/num_frontdesk/messages", {"data", "hasMore"}, id="new-texts"),
        pytest.param("seeds", "/v1/webhooks/deliveries", {"data", "total"}, id="seeds-deliveries"),
        pytest.param("new", "/v1/webhooks/deliveries", {"items", "total", "offset", "limit"}, id="new-deliveries"),
        pytest.param("new", "/v1/calls/call_past01/transcript", {"callId", "status", "transcript"}, id="new-turns"),
    ],
)
async def test_each_age_has_its_envelope(api: httpx.AsyncClient, path: str, keys: set[str]) -> None:
    assert (await api.get(path)).json().keys() == keys


@pytest.mark.parametrize(
    ("api_version", "path", "keys"),
    [
        pytest.param(
            "seeds",
            "/v1/numbers/num_frontdesk/messages",
            {"id", "from", "to", "body", "direction", "status", "receivedAt"},
            id="seeds-text",
        ),
        pytest.param(
            "new",
            "/v1/numbers/num_frontdesk/messages",
            {"id", "from_", "to", "body", "direction", "channel", "receivedAt"},
            id="new-text",
        ),
        pytest.param(
            "new",
            "/v1/agents/agt_frontdesk/conversations",
            {
                "id",
                "agentId",
                "phoneNumberId",
                "phoneNumber",
                "participant",
                "messageCount",
                "lastMessageAt",
                "lastMessagePreview",
                "createdAt",
            },
            id="new-conversation-of-an-agent",
        ),
        pytest.param("seeds", "/v1/agents/voices", {"voiceId", "name", "provider", "gender"}, id="seeds-voice"),
        pytest.param(
            "new",
            "/v1/numbers",
            {"id", "phoneNumber", "country", "status", "type", "agentId", "createdAt"},
            id="new-number",
        ),
    ],
)
async def test_each_age_has_its_fields(api: httpx.AsyncClient, path: str, keys: set[str]) -> None:
    assert (await api.get(path)).json()["data"][0].keys() == keys


def keys_of(shape: str, version: int) -> set[str]:
    return {key.partition(":")[0] for key in SHAPES[shape][version].split()}


@pytest.mark.parametrize("endpoint", [name for name in ANSWERS if name.startswith("GET ")])
async def test_the_union_has_the_fields_of_both_ages(api: httpx.AsyncClient, endpoint: str) -> None:
    await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
    await api.post("/v1/agents/agt_frontdesk/webhook", json={"url": "http://127.0.0.1:9/"})
    await api.post("/v1/agents/agt_frontdesk/webhook/test")
    ids = {"agent": "agt_frontdesk", "number": "num_frontdesk", "call": "call_past01", "conversation": "conv_past01"}
    path = endpoint.removeprefix("GET ").format(**{f"{name}_id": value for name, value in ids.items()})
    answer = (await api.get(path)).json()

    def lacking(value: Any, shape: str) -> set[str]:
        if isinstance(value, list):
            return lacking(value[0], shape)
        if shape not in SHAPES:
            return set()
        parts = dict(key.split(":") for version in (0, 1) for key in SHAPES[shape][version].split() if ":" in key)
        missing = (keys_of(shape, 0) | keys_of(shape, 1)) - value.keys()
        return missing.union(*(lacking(value[name], part) for name, part in parts.items() if name in value))

    assert lacking(answer, ANSWERS[endpoint]) <= GROUPS


@pytest.mark.parametrize(
    ("api_version", "path", "body"),
    [
        pytest.param("seeds", "/v1/agents/agt_no", {"detail": "Agent 'agt_no' not found."}, id="seeds-not-found"),
        pytest.param("seeds", "/v1/nothing", {"detail": "Not Found"}, id="seeds-no-path"),
        pytest.param(
            "new",
            "/v1/agents/agt_no",
            {
                "error": {
                    "message": "Agent 'agt_no' not found.",
                    "code": "AGENT_NOT_FOUND",
                    "type": "not_found_error",
                }
            },
            id="new-not-found",
        ),
        pytest.param(
            "new",
            "/v1/nothing",
            {"error": {"message": "Not Found", "code": "NOT_FOUND", "type": "api_error"}},
            id="new-no-path",
        ),
    ],
)
async def test_each_age_has_its_errors(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    answer = await api.get(path)
    assert (answer.status_code, answer.json()) == (404, body)
    stranger = await api.get(path, headers={"Authorization": ""})
    assert (stranger.status_code, stranger.json().keys()) == (401, body.keys())


@pytest.mark.parametrize(
    ("api_version", "status", "detail"),
    [
        pytest.param(
            "seeds", 400, "name: Field required; voiceMode: Input should be one of: webhook, hosted", id="seeds"
        ),
        pytest.param(
            "new",
            422,
            [
                {"loc": ["body", "name"], "msg": "Field required", "type": "missing"},
                {"loc": ["body", "voiceMode"], "msg": "Input should be one of: webhook, hosted", "type": "enum"},
            ],
            id="new",
        ),
    ],
)
async def test_wrong_fields_are_told_as_the_age_does(api: httpx.AsyncClient, status: int, detail: Any) -> None:
    answer = await api.post("/v1/agents", json={"voiceMode": "human"})
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("api_version", ["seeds"])
async def test_the_older_api_knows_three_statuses(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550101"})).json()
    stream = await api.get(f"/v1/calls/{placed['id']}/transcript/stream")
    assert sandbox.context.account.calls[placed["id"]].status == "busy"
    assert '"status": "failed"' in stream.text
    assert (await api.get(f"/v1/calls/{placed['id']}")).json()["status"] == "failed"
    listed = (await api.get("/v1/calls", params={"status": "failed"})).json()
    assert [call["id"] for call in listed["data"]] == [placed["id"]]
    assert (await api.get("/v1/calls", params={"status": "busy"})).status_code == 400


def test_a_wire_is_one_of_three() -> None:
    assert get_args(ApiVersion) == API_VERSIONS

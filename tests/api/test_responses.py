"""Tests of the request id, by which AgentPhone's support can find a request."""

import logging
from typing import Any

import httpx
import pytest

from agentphone_mcp.api.errors import ApiError, OutcomeUnknown, UnreadableAnswer
from tests.support import LIVE_KEY

EVENT_STREAM = {"Content-Type": "text/event-stream"}

IDS: dict[str, tuple[dict[str, str], Any, str | None]] = {
    "x-request-id": ({"X-Request-Id": "req_1", "CF-Ray": "8f1b-FRA"}, {"request_id": "other"}, "req_1"),
    "request-id": ({"request-id": "req_1"}, {}, "req_1"),
    "in-the-body": ({"CF-Ray": "8f1b-FRA"}, {"request_id": "req_1"}, "req_1"),
    "in-camel-case": ({}, {"requestId": "req_1"}, "req_1"),
    "in-the-error": ({}, {"error": {"message": "No", "request_id": "req_1"}}, "req_1"),
    "at-the-edge": ({"CF-Ray": "8f1b2c3d4e5f6a7b-FRA"}, {}, "8f1b2c3d4e5f6a7b-FRA"),
    "none": ({}, {}, None),
    "no-text": ({}, {"request_id": 7, "error": {"requestId": ["req_1"]}}, None),
    "sent-twice": ({"X-Request-Id": "req_1, req_2"}, {}, "req_1"),
    "odd-characters": ({}, {"request_id": "req\u202e_<1>\n\x1b"}, "req_1"),
    "too-long": ({"X-Request-Id": "a" * 5_000}, {}, "a" * 64),
    "the-key": ({"X-Request-Id": LIVE_KEY, "CF-Ray": "8f1b-FRA"}, {}, "8f1b-FRA"),
    "the-key-split": ({"X-Request-Id": LIVE_KEY.replace("_", "_ ")}, {}, None),
    "the-key-at-the-end": ({"X-Request-Id": "a" * 50 + LIVE_KEY}, {}, None),
    "another-key": ({"X-Request-Id": "sk_test_12345678"}, {}, None),
}


@pytest.mark.parametrize(("headers", "body", "named"), IDS.values(), ids=IDS.keys())
async def test_an_error_names_the_request_as_the_api_does(api_over, answering, headers, body, named) -> None:
    recorder = answering(lambda _: httpx.Response(404, json=body, headers=headers))
    async with api_over(recorder) as api:
        with pytest.raises(ApiError) as failed:
            await api.agents.get("agt_1")
    assert failed.value.request_id == named
    assert ("request id" in str(failed.value)) is bool(named)
    assert LIVE_KEY not in str(failed.value)


async def following(api: Any) -> None:
    """Follow a call to its end."""
    async with api.calls.follow("call_1") as events:
        [event async for event in events]


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        pytest.param(lambda api: api.calls.get("call_1"), UnreadableAnswer, id="read"),
        pytest.param(lambda api: api.calls.end("call_1"), OutcomeUnknown, id="write"),
        pytest.param(lambda api: api.calls.recording("call_1"), UnreadableAnswer, id="audio"),
        pytest.param(following, UnreadableAnswer, id="stream"),
    ],
)
async def test_an_answer_that_cannot_be_read_is_named_too(api_over, answering, ask, kind) -> None:
    headers = {"X-Request-Id": "req_1", **EVENT_STREAM}
    recorder = answering(lambda _: httpx.Response(200, text="data: [\n\n", headers=headers))
    async with api_over(recorder) as api:
        with pytest.raises(kind) as failed:
            await ask(api)
    assert failed.value.request_id == "req_1"


async def test_the_log_names_each_request(api_over, answering, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "agentphone_mcp")
    answers = iter([{"X-Request-Id": "req_1"}, {}])
    recorder = answering(lambda _: httpx.Response(200, json={"data": []}, headers=next(answers)))
    async with api_over(recorder) as api:
        await api.agents.list()
        await api.agents.list()
    first, second = caplog.messages
    assert first.endswith("ms, request id req_1")
    assert second.endswith("ms, request id none")

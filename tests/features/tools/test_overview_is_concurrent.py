"""Fetch the parts of the overview at once, and survive one that fails."""

import anyio
import httpx
import pytest

from tests.support import PATIENCE

PARTS = {
    "agents": "/v1/agents",
    "numbers": "/v1/numbers",
    "webhook": "/v1/webhooks",
    "usage": "/v1/usage",
}
ANSWERS = {
    "/v1/agents": {"data": [{"id": "agt_1", "name": "Desk"}]},
    "/v1/numbers": {"data": [{"id": "num_1", "phoneNumber": "+14155550100"}]},
    "/v1/webhooks": {"id": "wh_1", "url": "https://example.com/hook", "secret": "whsec_abcdef"},
    "/v1/usage": {"plan": {"name": "free"}},
}


async def test_all_four_requests_are_under_way_at_once(assistant, answering) -> None:
    requested: set[str] = set()
    all_requested = anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        requested.add(request.url.path)
        if len(requested) == len(PARTS):
            all_requested.set()
        with anyio.fail_after(PATIENCE):
            await all_requested.wait()
        return httpx.Response(200, json=ANSWERS[request.url.path])

    recorder = answering(answer)
    async with assistant(recorder) as ai:
        seen = await ai.ask("account_overview")
    assert requested == set(PARTS.values())
    assert len(recorder.requests) == len(PARTS)
    assert seen["agents"]["data"][0]["name"] == "Desk"
    assert (seen["webhook"]["secret_ends_in"], seen["usage"]["plan"]) == ("cdef", "free")


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_fails_is_reported_in_its_place(assistant, answering, part) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == PARTS[part]:
            return httpx.Response(403, json={"detail": "This key may not see it."})
        return httpx.Response(200, json=ANSWERS[request.url.path])

    async with assistant(answering(answer)) as ai:
        seen = await ai.ask("account_overview")
    assert "This key may not see it" in seen[part]["error"]
    assert not any("error" in seen[other] for other in PARTS if other != part)


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_times_out_is_reported_in_its_place(assistant, answering, part) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == PARTS[part]:
            raise httpx.ReadTimeout("slow", request=request)
        return httpx.Response(200, json=ANSWERS[request.url.path])

    async with assistant(answering(answer)) as ai:
        seen = await ai.ask("account_overview")
    assert "timed out" in seen[part]["error"]
    assert "next_step" not in seen


async def test_one_error_is_raised_when_every_part_fails(assistant, answering) -> None:
    async with assistant(answering({"detail": "Invalid API key."}, 401)) as ai:
        message = await ai.refused("account_overview")
    assert message.count("401") == 1
    assert "AGENTPHONE_API_KEY" in message


async def test_no_webhook_is_no_failure(assistant, answering) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/webhooks":
            return httpx.Response(404, json={"detail": "No webhook configured."})
        return httpx.Response(200, json=ANSWERS[request.url.path])

    async with assistant(answering(answer)) as ai:
        seen = await ai.ask("account_overview")
    assert seen["webhook"]["is_set"] is False

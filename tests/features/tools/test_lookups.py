"""Find out whether an action happened, by what the API shows now, if nothing else can be meant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.features.tools.lookups import call_duration, digest, look_up
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
SAM, OTHER = "+14155559999", "+14155559998"
NOBODY: frozenset[str] = frozenset()


def entry(tool: str, to_number: str | None = None, ids: Any = None, **match_on: str | None) -> Entry:
    """Make the entry of an action of this moment whose answer was lost."""
    lost = {"outcome": "unknown", "reason": "timed out", "settled_at": None, "approved_by": None, "approved_how": None}
    return Entry(
        id=1,
        at=NOW.timestamp(),
        account="account",
        tool=tool,
        summary="An action.",
        to_number=to_number,
        cost=0,
        minute_cost=None,
        ids=ids,
        result=None,
        match_on=match_on,
        fingerprint="f",
        **lost,
    )


LOST = {
    "place_call": (
        entry("place_call", SAM, agent_id="agt_1"),
        {"id": "it", "toNumber": SAM, "agentId": "agt_1", "startedAt": NOW.isoformat(), "status": "completed"},
    ),
    "create_web_call": (
        entry("create_web_call", agent_id="agt_1"),
        {"id": "it", "toNumber": "web", "agentId": "agt_1", "startedAt": NOW.isoformat(), "direction": "web"},
    ),
    "send_message": (
        entry("send_message", SAM, number_id="num_1", body=digest("Hi")),
        {"id": "it", "to": SAM, "body": "Hi", "receivedAt": NOW.isoformat()},
    ),
    "buy_number": (
        entry("buy_number", area_code="212", country="US"),
        {"id": "it", "phoneNumber": "+12125550123", "country": "US", "createdAt": NOW.isoformat()},
    ),
}
TIMES = {"startedAt", "receivedAt", "createdAt"}
EACH = pytest.mark.parametrize("tool", LOST)


@pytest.fixture
def looking(api_over, answering):
    """Look up an action in an API that lists these objects, newest first."""

    async def looking(action: Entry, *things: Any, claimed: frozenset[str] = NOBODY) -> LookupResult | None:
        async with api_over(answering({"data": things, "hasMore": False})) as api:
            return await look_up(api, action, claimed)

    return looking


@EACH
async def test_what_is_there_is_found(looking, tool: str) -> None:
    action, thing = LOST[tool]
    match = await looking(action, thing | {"id": "newer", "agentId": "x", "to": "x", "phoneNumber": "x"}, thing)
    assert match is not None
    assert (match.outcome, match.ids) == ("done", {"id": "it"})
    if tool != "create_web_call":
        assert (match.result or {})["id"] == "it"


@EACH
async def test_what_is_not_there_may_still_come(looking, tool: str) -> None:
    assert await looking(LOST[tool][0]) is None


@EACH
async def test_what_came_of_another_action_came_not_of_this_one(looking, tool: str) -> None:
    action, thing = LOST[tool]
    assert await looking(action, thing, claimed=frozenset({"it"})) is None
    match = await looking(action, thing, thing | {"id": "second"}, claimed=frozenset({"it"}))
    assert match is not None
    assert match.ids == {"id": "second"}


@EACH
@pytest.mark.parametrize(
    ("at", "is_it"),
    [
        pytest.param(NOW - timedelta(minutes=1), True, id="clocks-differ"),
        pytest.param(NOW - timedelta(minutes=3), False, id="before"),
        pytest.param(NOW + timedelta(minutes=14), True, id="later"),
        pytest.param(NOW + timedelta(minutes=16), False, id="too-late"),
        pytest.param(NOW.replace(tzinfo=None), True, id="without-zone"),
        pytest.param("2026-11-20T21:00:00+01:00", True, id="another-zone"),
        pytest.param("yesterday", False, id="no-time"),
        pytest.param("0001-01-01T00:00:00+10:00", False, id="before-all-time"),
        pytest.param(1_795_204_800, False, id="a-number"),
        pytest.param(None, False, id="none"),
    ],
)
async def test_only_what_began_when_it_was_done_is_it(looking, tool: str, at: Any, is_it: bool) -> None:
    action, thing = LOST[tool]
    time = at.isoformat() if isinstance(at, datetime) else at
    dated = {name: (time if name in TIMES else value) for name, value in thing.items()}
    assert (await looking(action, dated) is not None) is is_it


@pytest.mark.parametrize(
    ("tool", "differs"),
    [
        pytest.param("place_call", {"toNumber": OTHER}, id="call-to-another"),
        pytest.param("place_call", {"agentId": "agt_2"}, id="call-of-another-agent"),
        pytest.param("place_call", {"agentId": None}, id="call-of-no-agent"),
        pytest.param("place_call", {"toNumber": "+14155550100", "fromNumber": SAM}, id="call-from-them"),
        pytest.param("create_web_call", {"agentId": "agt_2"}, id="web-call-of-another-agent"),
        pytest.param("send_message", {"to": OTHER}, id="text-to-another"),
        pytest.param("send_message", {"body": "Hi!"}, id="another-text"),
        pytest.param("send_message", {"body": None}, id="text-without-words"),
        pytest.param("buy_number", {"phoneNumber": "+14155550123"}, id="another-area"),
        pytest.param("buy_number", {"phoneNumber": "+442125550123"}, id="abroad"),
        pytest.param("buy_number", {"country": "CA"}, id="another-country"),
    ],
)
async def test_what_is_only_like_it_is_not_it(looking, tool: str, differs: Any) -> None:
    action, thing = LOST[tool]
    assert await looking(action, thing | differs) is None


async def test_a_number_of_any_area_is_found(looking) -> None:
    """A purchase without an area code may get any number of the country, which the API may leave out."""
    bought = LOST["buy_number"][1] | {"phoneNumber": "+16465550123", "country": None}
    assert await looking(entry("buy_number", country="US", area_code=None), bought) is not None


async def test_a_number_on_a_later_page_is_found(api_over, answering) -> None:
    action, thing = LOST["buy_number"]
    old = thing | {"createdAt": "2020-01-01T00:00:00Z"}

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        rows = [old | {"id": f"num_{offset + row}"} for row in range(100)] if offset < 200 else [thing]
        return httpx.Response(200, json={"data": rows, "hasMore": offset < 200})

    async with api_over(answering(answer)) as api:
        match = await look_up(api, action, NOBODY)
    assert match is not None


@pytest.mark.parametrize(
    ("tool", "other", "may_be"),
    [
        pytest.param("place_call", {"summary": "Other words."}, True, id="call"),
        pytest.param("place_call", {"to_number": OTHER}, False, id="call-to-another"),
        pytest.param("place_call", {"match_on": {"agent_id": "agt_2"}}, False, id="call-of-another-agent"),
        pytest.param("create_web_call", {}, True, id="web-call"),
        pytest.param("create_web_call", {"match_on": {"agent_id": "agt_2"}}, False, id="web-call-of-another-agent"),
        pytest.param("send_message", {}, True, id="text"),
        pytest.param("send_message", {"match_on": {"body": digest("Hi!")}}, False, id="another-text"),
        pytest.param("buy_number", {"match_on": {"country": "US", "agent_id": "agt_2"}}, True, id="any"),
        pytest.param("buy_number", {"match_on": {"country": "US", "area_code": "415"}}, False, id="another-area"),
        *(pytest.param(tool, {"at": NOW.timestamp() + 3_600}, False, id=f"{tool}-much-later") for tool in LOST),
    ],
)
async def test_a_match_tells_of_which_other_actions_it_may_be(looking, tool: str, other: Any, may_be: bool) -> None:
    action, thing = LOST[tool]
    match = await looking(action, thing)
    assert match is not None
    assert match.may_belong_to(replace(action, id=2, **other)) is may_be


GONE = {
    "release_number": entry("release_number", number_id="num_1"),
    "delete_agent": entry("delete_agent", agent_id="agt_1"),
    "delete_contact": entry("delete_contact", contact_id="con_1"),
    "delete_webhook": entry("delete_webhook", agent_id=None),
}


@pytest.mark.parametrize("tool", GONE)
@pytest.mark.parametrize(("status", "outcome"), [(404, "done"), (200, "failed")], ids=["gone", "still-there"])
async def test_what_is_gone_was_destroyed(api_over, answering, tool: str, status: int, outcome: str) -> None:
    thing = {"id": "x", "phoneNumber": SAM, "number": SAM, "name": "N", "url": "https://example.com"}
    numbers = {"data": [thing | {"id": "num_1"}], "hasMore": False} if status == 200 else {"data": [], "hasMore": False}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/numbers":
            return httpx.Response(200, json=numbers)
        return httpx.Response(status, json=thing if status == 200 else {"detail": "no"})

    async with api_over(answering(answer)) as api:
        assert await look_up(api, GONE[tool], NOBODY) == LookupResult(outcome)


NEW, OLD = "https://example.org/new", "https://example.com/old"


@pytest.mark.parametrize(
    ("shown", "old_url", "outcome"),
    [
        pytest.param({"url": NEW, "secret": "s2"}, OLD, "done", id="replaced"),
        pytest.param({"url": OLD, "secret": "s1"}, OLD, "failed", id="still-the-old-one"),
        pytest.param({"url": "https://example.net", "secret": "s3"}, OLD, "failed", id="a-third-one"),
        pytest.param(None, OLD, "failed", id="none-at-all"),
        pytest.param({"url": NEW, "secret": "s2"}, NEW, "done", id="same-url-new-secret"),
        pytest.param({"url": NEW, "secret": "s1"}, NEW, "failed", id="same-url-same-secret"),
        pytest.param({"url": NEW}, NEW, "failed", id="same-url-no-secret"),
    ],
)
async def test_a_webhook_was_replaced_by_what_it_shows(api_over, answering, shown: Any, old_url, outcome: Any) -> None:
    """If the URL stays the same, its secret tells; without a secret, replacing it again does no harm."""
    match_on = {"url": digest(NEW), "old_url": digest(old_url), "old_secret": digest("s1")}
    action = entry("set_webhook", **match_on, agent_id=None)
    status, body = (200, {"id": "wh_1"} | shown) if shown else (404, {"detail": "none"})
    async with api_over(answering(body, status)) as api:
        match = await look_up(api, action, NOBODY)
    assert (match.outcome if match else None) == outcome


@pytest.mark.parametrize("tool", [*LOST, *GONE, "set_webhook"])
async def test_an_api_that_fails_tells_nothing(api_over, answering, tool: str) -> None:
    action = LOST[tool][0] if tool in LOST else GONE.get(tool, entry(tool, url=NEW, agent_id=None))
    async with api_over(answering({"detail": "oops"}, 500)) as api:
        with pytest.raises(ApiError):
            await look_up(api, action, NOBODY)


async def test_a_tool_of_another_version_is_left_unresolved(looking) -> None:
    """A newer server may share the ledger."""
    assert await looking(entry("rent_a_fax")) is None


@pytest.mark.parametrize(
    ("call", "length"),
    [
        pytest.param({"status": "completed", "durationSeconds": 33}, CallDuration(33, is_over=True), id="answered"),
        pytest.param({"status": "no-answer"}, CallDuration(0, is_over=True), id="unanswered"),
        pytest.param({"status": "busy", "durationSeconds": 0}, CallDuration(0, is_over=True), id="busy"),
        pytest.param({"status": "in-progress", "durationSeconds": 12}, CallDuration(12, is_over=False), id="going-on"),
        pytest.param({"status": "ringing"}, CallDuration(None, is_over=False), id="ringing"),
        pytest.param({"status": "completed"}, CallDuration(None, is_over=True), id="seconds-not-result"),
        pytest.param({"endedAt": "2026-11-20T20:00:00Z"}, CallDuration(None, is_over=True), id="ended-somehow"),
    ],
)
async def test_the_length_of_a_call_is_known_when_it_is_over(
    api_over, answering, call: Any, length: CallDuration
) -> None:
    async with api_over(answering({"id": "call_1"} | call)) as api:
        for ids in ({"id": "call_1"}, {"call_id": "call_1"}):
            assert await call_duration(api, entry("place_call", ids=ids)) == length
        assert await call_duration(api, entry("place_call")) == CallDuration(None, is_over=True)

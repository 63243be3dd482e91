"""Write nothing but confirmed actions, whatever is asked for in whatever order, and however the network fails."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.server.server import create_server

NO_LIMITS = Limits.parse(
    "calls=off,calls_to_one_number=off,web_calls=off,messages=off,messages_to_one_number=off,numbers=off,spend=off"
)
TOOLS = {"numbers": "buy_number", "calls": "place_call", "messages": "send_message"}
LOST = ("before", "after", "500-after", "500-before", "garbage")
FAULTS = st.sampled_from((None, None, *LOST, "402", "429", "unreachable"))


@dataclass
class Account:
    """Imitates an API with an account; counts the writes that were requested and keeps those that were done."""

    fault: str | None = None
    asked: int = 0
    made: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer, or fail as `fault` says."""
        if request.method == "GET":
            return httpx.Response(200, json=self._read(request.url.path))
        if self.fault == "unreachable":
            raise httpx.ConnectError("refused", request=request)
        self.asked += 1
        if self.fault in ("402", "429"):
            return httpx.Response(int(self.fault), json={"detail": "no"}, headers={"Retry-After": "60"})
        if self.fault == "before":
            raise httpx.ReadError("reset", request=request)
        if self.fault == "500-before":
            return httpx.Response(500, json={"detail": "oops"})
        made = self._write(request)
        if self.fault == "after":
            raise httpx.ReadTimeout("timed out", request=request)
        if self.fault == "500-after":
            return httpx.Response(502, text="<html>Bad gateway</html>")
        return httpx.Response(201, text='{"id": "x' if self.fault == "garbage" else None, json=made)

    def _write(self, request: httpx.Request) -> dict[str, Any]:
        kind, body = request.url.path.removeprefix("/v1/"), httpx.Response(200, content=request.content).json()
        one = f"{kind}_{len(self.made) + 1}"
        now = datetime.now(UTC).isoformat()
        made = body | {"id": one, "kind": kind, "createdAt": now, "startedAt": now, "status": "queued"}
        if kind == "numbers":
            made |= {"phoneNumber": f"+1{body.get('areaCode') or 212}555{len(self.made):04}"}
        self.made[one] = made
        return made

    def _read(self, path: str) -> Any:
        number = {"id": "num_1", "phoneNumber": "+14155550100", "outboundSms": "enabled"}
        if path.startswith("/v1/agents/"):
            return {"id": path[11:], "name": "Desk", "voiceMode": "hosted", "numbers": [number]}
        if path == "/v1/numbers/num_1":
            return number
        kind = {"/v1/numbers/num_1/messages": "messages"}.get(path, path.removeprefix("/v1/"))
        return {"data": [made for made in reversed(self.made.values()) if made["kind"] == kind], "hasMore": False}


PEOPLE = st.sampled_from(["+14155559999", "+14155559998"])
AGENTS = st.sampled_from(["agt_1", "agt_2"])
ASKED = st.one_of(
    st.tuples(
        st.just("buy_number"),
        st.fixed_dictionaries({}, optional={"area_code": st.sampled_from(["212", "415"]), "agent_id": AGENTS}),
    ),
    st.tuples(
        st.just("place_call"),
        st.fixed_dictionaries(
            {"agent_id": AGENTS, "to_number": PEOPLE}, optional={"prompt": st.sampled_from(["Ask.", "Tell."])}
        ),
    ),
    st.tuples(
        st.just("send_message"),
        st.fixed_dictionaries({"agent_id": AGENTS, "to_number": PEOPLE, "body": st.sampled_from(["Hi", "Bye"])}),
    ),
)
CONFIRMS = st.sampled_from([True, True, True, None, False, "true", "yes", 1, "+14155559999", [True]])


@dataclass(frozen=True)
class Step:
    """Holds one call of a tool, and how the network is meanwhile."""

    asked: tuple[str, dict[str, Any]]
    confirm: Any
    repeat: bool
    fault: str | None
    restart: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments as a model gives them."""
        repeat = {"repeat": True} if self.repeat else {}
        return self.asked[1] | {"confirm": self.confirm} | repeat

    @property
    def is_confirmed(self) -> bool:
        """Return whether `confirm` is exactly the yes that is asked for."""
        return self.confirm is True


STEPS = st.lists(
    st.builds(
        Step, ASKED, CONFIRMS, st.sampled_from([False, False, True]), FAULTS, st.sampled_from([False] * 5 + [True])
    ),
    min_size=1,
    max_size=12,
)


@dataclass
class Taken:
    """Holds a step, its result, and how many writes it cost."""

    step: Step
    answer: dict[str, Any] | None
    writes: int


async def live_through(steps: list[Step], account: Account, state: str) -> list[Taken]:
    """Take these steps with an assistant, and restart the server in between where a step says so."""
    config = Config(api_key=ApiKey("sk_live_not_a_real_key_0042"), ledger_location=state, limits=NO_LIMITS)
    lived: list[Taken] = []
    left = list(steps)
    while left:
        async with Client(create_server(config, inner=httpx.MockTransport(account))) as client:
            while left:
                step = left.pop(0)
                account.fault, before = step.fault, account.asked
                result = await client.call_tool(step.asked[0], step.arguments)
                lived.append(Taken(step, result.structured_content, account.asked - before))
                if step.restart:
                    break
    return lived


def lived(steps: list[Step]) -> tuple[list[Taken], Account, list[Entry]]:
    """Return what came of these steps at the assistant, in the account, and in the ledger."""
    account = Account()
    with tempfile.TemporaryDirectory() as state:
        told = anyio.run(live_through, steps, account, state)
        ledger = Ledger(state)
        rows = ledger.entries()
        ledger.close()
    return told, account, rows


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_more_writes_than_confirmed_actions(steps: list[Step]) -> None:
    """Each write belongs to one call with an exact yes, and each such call to one write at most."""
    told, account, _ = lived(steps)
    assert account.asked <= sum(one.step.is_confirmed for one in told)
    for one in told:
        assert one.writes <= (1 if one.step.is_confirmed else 0), one
        if one.answer and one.answer["status"] == "needs_confirmation":
            assert not one.step.is_confirmed


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_the_same_action_is_written_once_unless_it_is_to_be_repeated(steps: list[Step]) -> None:
    """This includes actions whose answer was lost, but none that the API refused or never received."""
    told, account, _ = lived(steps)
    may_have_happened: Counter[str] = Counter()
    for one in told:
        action = repr((one.step.asked[0], sorted(one.step.asked[1].items())))
        if one.writes and one.step.fault not in ("402", "429"):
            assert one.step.repeat or not may_have_happened[action], one
            may_have_happened[action] += 1
    assert len(account.made) <= sum(may_have_happened.values())


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_a_lost_answer_blocks_what_is_like_it(steps: list[Step]) -> None:
    """Other words to the same person and other numbers are blocked too, unless `repeat` is set."""
    told, _, _ = lived(steps)
    doubted: set[str] = set()
    for one in told:
        like = f"{one.step.asked[0]} {one.step.asked[1].get('to_number', '')}"
        if one.writes:
            assert one.step.repeat or like not in doubted, one
            if one.step.fault in LOST:
                doubted.add(like)
            elif one.step.fault is None:
                # Whoever repeats it nevertheless has made up their mind about the doubt.
                doubted.discard(like)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_every_write_has_a_true_row_in_the_ledger(steps: list[Step]) -> None:
    """The outcome of a row is never better or worse than what the account shows."""
    _, account, rows = lived(steps)
    sent = [row for row in rows if row.outcome != "refused" and "could not be made" not in (row.reason or "")]
    assert len(sent) == account.asked
    made = {(row.ids or {})["id"]: row for row in sent if row.outcome == "done"}
    assert len(made) == sum(row.outcome == "done" for row in sent)
    assert set(made) <= set(account.made)
    assert {row.outcome for row in rows} <= {"done", "failed", "unknown"}
    assert len(account.made) - len(made) <= sum(row.outcome == "unknown" for row in sent)
    for one, row in made.items():
        assert row.tool == TOOLS[account.made[one]["kind"]]
        assert row.to_number in (None, account.made[one].get("toNumber"), account.made[one].get("to_number"))


@pytest.mark.parametrize("tool", ["place_call", "send_message", "buy_number"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_no_text_or_number_in_place_of_a_yes_writes_anything(tool: str, data: st.DataObject) -> None:
    confirm = data.draw(
        st.one_of(st.none(), st.text(max_size=8), st.integers(), st.floats(allow_nan=False), st.just([True]))
    )
    _, arguments = data.draw(ASKED.filter(lambda asked: asked[0] == tool))
    told, account, rows = lived([Step((tool, arguments), confirm, False, None, False)])
    assert (account.asked, rows) == (0, [])
    assert told[0].answer is None or told[0].answer["status"] == "needs_confirmation"

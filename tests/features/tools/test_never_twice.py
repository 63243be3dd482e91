"""Write nothing but confirmed actions, whatever is asked for in whatever order, and however the network fails."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.client import Client

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.server.server import create_server
from tests.support import LIVE_KEY

NO_LIMITS = Limits.parse(
    "calls=off,calls_to_one_number=off,web_calls=off,messages=off,messages_to_one_number=off,numbers=off,spend=off"
)
TOOLS = {"numbers": "buy_number", "calls": "place_call", "messages": "send_message"}
LOST = ("before", "after", "500-after", "500-before", "garbage")
FAULTS = st.sampled_from((None, None, *LOST, "402", "429", "unreachable"))


@dataclass
class Account:
    """Imitate an API with an account; count the writes that were requested and keep those that were done."""

    fault: str | None = None
    requested: int = 0
    made: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer, or fail as `fault` says."""
        if request.method == "GET":
            return httpx.Response(200, json=self._read(request.url.path))
        if self.fault == "unreachable":
            raise httpx.ConnectError("refused", request=request)
        self.requested += 1
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
        made_id = f"{kind}_{len(self.made) + 1}"
        now = datetime.now(UTC).isoformat()
        made = body | {"id": made_id, "kind": kind, "createdAt": now, "startedAt": now, "status": "queued"}
        if kind == "numbers":
            made |= {"phoneNumber": f"+1{body.get('areaCode') or 212}555{len(self.made):04}"}
        self.made[made_id] = made
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
REQUESTS = st.one_of(
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
    """Hold one call of a tool, and how the network is meanwhile."""

    request: tuple[str, dict[str, Any]]
    confirm: Any
    repeat: bool
    fault: str | None
    restart: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments as a model gives them."""
        repeat = {"repeat": True} if self.repeat else {}
        return self.request[1] | {"confirm": self.confirm} | repeat

    @property
    def is_confirmed(self) -> bool:
        """Return whether `confirm` is exactly the yes that is asked for."""
        return self.confirm is True


STEPS = st.lists(
    st.builds(
        Step, REQUESTS, CONFIRMS, st.sampled_from([False, False, True]), FAULTS, st.sampled_from([False] * 5 + [True])
    ),
    min_size=1,
    max_size=12,
)


@dataclass
class StepResult:
    """Hold a step, its result, and how many writes it cost."""

    step: Step
    answer: dict[str, Any] | None
    writes: int


async def take_steps(steps: list[Step], account: Account, state: str) -> list[StepResult]:
    """Take these steps with an assistant, and restart the server in between where a step says so."""
    config = Config(api_key=ApiKey(LIVE_KEY), ledger_location=state, limits=NO_LIMITS)
    results: list[StepResult] = []
    left = list(steps)
    while left:
        async with Client(create_server(config, inner=httpx.MockTransport(account))) as client:
            while left:
                step = left.pop(0)
                account.fault, before = step.fault, account.requested
                result = await client.call_tool(step.request[0], step.arguments)
                results.append(StepResult(step, result.structured_content, account.requested - before))
                if step.restart:
                    break
    return results


def run(steps: list[Step]) -> tuple[list[StepResult], Account, list[Entry]]:
    """Return what came of these steps at the assistant, in the account, and in the ledger."""
    account = Account()
    with tempfile.TemporaryDirectory() as state:
        results = anyio.run(take_steps, steps, account, state)
        ledger = Ledger(state)
        rows = ledger.entries()
        ledger.close()
    return results, account, rows


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_whatever_is_asked_for_and_lost_is_written_at_most_once(steps: list[Step]) -> None:
    results, account, rows = run(steps)
    check_that_each_write_was_confirmed(results, account)
    check_that_the_same_is_written_once(results, account)
    check_that_a_lost_answer_blocks_what_is_like_it(results)
    check_that_every_write_has_a_true_row(account, rows)


def check_that_each_write_was_confirmed(results: list[StepResult], account: Account) -> None:
    """Expect each write to belong to one call with an exact yes, and each such call to one write at most."""
    assert account.requested <= sum(result.step.is_confirmed for result in results)
    for result in results:
        assert result.writes <= (1 if result.step.is_confirmed else 0), result
        if result.answer and result.answer["status"] == "needs_confirmation":
            assert not result.step.is_confirmed


def check_that_the_same_is_written_once(results: list[StepResult], account: Account) -> None:
    """Expect one write unless it is to be repeated; what the API refused or never received does not count."""
    may_have_happened: Counter[str] = Counter()
    for result in results:
        action = repr((result.step.request[0], sorted(result.step.request[1].items())))
        if result.writes and result.step.fault not in ("402", "429"):
            assert result.step.repeat or not may_have_happened[action], result
            may_have_happened[action] += 1
    assert len(account.made) <= sum(may_have_happened.values())


def check_that_a_lost_answer_blocks_what_is_like_it(results: list[StepResult]) -> None:
    """Expect other words to the same person and other numbers to be blocked too, unless `repeat` is set."""
    unresolved: set[str] = set()
    for result in results:
        like = f"{result.step.request[0]} {result.step.request[1].get('to_number', '')}"
        if result.writes:
            assert result.step.repeat or like not in unresolved, result
            if result.step.fault in LOST:
                unresolved.add(like)
            elif result.step.fault is None:
                # A repetition that succeeds resolves it.
                unresolved.discard(like)


def check_that_every_write_has_a_true_row(account: Account, rows: list[Entry]) -> None:
    """Expect in the ledger as done only what is there, as failed only what is not, and no write without a row."""
    sent = [row for row in rows if row.outcome != "refused" and "could not be made" not in (row.reason or "")]
    assert len(sent) == account.requested
    made = {(row.ids or {})["id"]: row for row in sent if row.outcome == "done"}
    assert len(made) == sum(row.outcome == "done" for row in sent)
    assert set(made) <= set(account.made)
    assert {row.outcome for row in rows} <= {"done", "failed", "unknown"}
    assert len(account.made) - len(made) <= sum(row.outcome == "unknown" for row in sent)
    for made_id, row in made.items():
        assert row.tool == TOOLS[account.made[made_id]["kind"]]
        assert row.to_number in (None, account.made[made_id].get("toNumber"), account.made[made_id].get("to_number"))


@settings(max_examples=10, deadline=None)
@given(
    request=REQUESTS,
    confirm=st.one_of(st.none(), st.text(max_size=8), st.integers(), st.floats(allow_nan=False), st.just([True])),
)
def test_nothing_but_the_boolean_true_writes_anything(request: tuple[str, dict[str, Any]], confirm: Any) -> None:
    results, account, rows = run([Step(request, confirm, False, None, False)])
    assert (account.requested, rows) == (0, [])
    assert results[0].answer is None or results[0].answer["status"] == "needs_confirmation"

"""Check that the state survives restarts and kill -9, and that invalid files are refused."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from secrets import SystemRandom
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox, StateFileError, running
from tests.sandbox.clients import in_process
from tests.support import ROOT

KEY = "sk_sandbox_persistent"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def on_disk(file: Path) -> dict[str, Any]:
    return json.loads(file.read_bytes())


def copied(file: Path) -> Path:
    """Copy the file as a kill at this moment would leave it."""
    copy = file.with_name("at-the-kill.json")
    copy.write_bytes(file.read_bytes())
    return copy


@asynccontextmanager
async def living(file: Path, **settings: Any) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    sandbox = Sandbox(**{"speed": 400, "state": file} | settings)
    async with in_process(sandbox) as api:
        yield sandbox, api
    await sandbox.aclose()


async def everything(api: httpx.AsyncClient) -> dict[str, Any]:
    """Read everything that the API shows of the account."""
    paths = ("agents", "numbers", "calls", "calls/call_past01", "conversations", "conversations/conv_past01")
    more = ("contacts", "webhooks", "webhooks/deliveries", "usage/by-number", "agents/agt_orderline/webhook")
    return {path: (await api.get(f"/v1/{path}")).json() for path in (*paths, *more)}


async def test_an_account_comes_back_as_it_was(file: Path) -> None:
    async with living(file) as (first, api):
        number = (await api.post("/v1/numbers", json={"areaCode": "212", "externalId": "crm"})).json()
        await api.post("/v1/agents", json={"name": "Émile 👋", "voiceSpeed": 1.5})
        await api.post("/v1/messages", json={"agent_id": "agt_frontdesk", "to_number": "+14155550142", "body": "Hi"})
        await api.patch("/v1/conversations/conv_past01", json={"metadata": {"deep": [1, {"er": None}], "big": 2**70}})
        await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
        await api.post("/v1/webhooks/test")
        await api.post("/v1/agents/agt_orderline/webhook", json={"url": "http://127.0.0.1:9/"})
        await api.post("/__sandbox/registration", json={"numberId": number["id"]})
        await api.delete("/v1/numbers/num_frontdesk")
        before, account = await everything(api), first.context.account
    then = datetime.fromisoformat(on_disk(file)["now"])
    async with living(file) as (second, api):
        assert second.key == first.key
        assert second.context.account == account
        assert second.context.account.balance.amount == Decimal("1.98")
        assert second.context.clock.now() >= then
        after = await everything(api)
        made = (await api.post("/v1/agents", json={"name": "Another"})).json()
    assert made["id"] not in [agent["id"] for agent in before["agents"]["data"]]
    # Only the registration may have come through meanwhile.
    assert json.dumps(after).replace('"enabled"', '"activating"') == json.dumps(before).replace(
        '"enabled"', '"activating"'
    )


async def test_a_call_that_was_live_comes_back_failed(file: Path) -> None:
    async with living(file, speed=1) as (first, api):
        placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550102"})).json()
        copy = copied(file)
        assert first.context.account.calls[placed["id"]].is_live
    async with living(copy) as (second, api):
        call = (await api.get(f"/v1/calls/{placed['id']}")).json()
        assert (call["status"], call["durationSeconds"]) == ("failed", 0)
        assert (await api.post(f"/v1/calls/{placed['id']}/end")).status_code == 409
        assert second.context.account.balance.amount == Decimal("5.00")


async def test_what_an_answer_tells_is_on_disk_before_it(file: Path) -> None:
    async with living(file) as (_, api):
        await api.post("/v1/contacts", json={"name": "Grace", "phoneNumber": "+14155559999"})
        assert "Grace" in str(on_disk(file))
        written = on_disk(file)["now"]
        await api.post("/v1/contacts", json={"name": "Somebody else", "phoneNumber": "+14155559999"})
        await api.get("/v1/contacts")
        assert on_disk(file)["now"] == written
        placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155559999"})).json()
        stream = await api.get(f"/v1/calls/{placed['id']}/transcript/stream")
        saved = on_disk(file)["account"]["calls"][placed["id"]]
    assert stream.text.count("event: turn") == len(saved["turns"])
    assert saved["status"] == "completed"


async def test_a_lost_answer_leaves_its_action(file: Path) -> None:
    async with living(file, faults=["POST /v1/agents drop-after"]) as (_, api):
        with pytest.raises(httpx.RemoteProtocolError):
            await api.post("/v1/agents", json={"name": "Unheard of"})
        assert "Unheard of" in str(on_disk(file))


async def test_what_cannot_be_kept_is_not_answered_as_done(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    async with living(folder / "state.json") as (_, api):
        away = folder.rename(tmp_path / "away")
        assert (await api.post("/v1/agents", json={"name": "Unkept"})).status_code == 500
        away.rename(folder)
        assert (await api.get("/v1/agents")).json()["total"] == 3
        assert "Unkept" in str(on_disk(folder / "state.json"))


async def test_answers_at_the_same_time_are_all_kept(file: Path) -> None:
    async with living(file) as (_, api):
        answers = await asyncio.gather(*(api.post("/v1/agents", json={"name": f"Agent {n}"}) for n in range(50)))
        assert {answer.json()["id"] for answer in answers} <= on_disk(file)["account"]["agents"].keys()


async def test_a_reset_lasts(file: Path) -> None:
    async with living(file) as (_, api):
        await api.delete("/v1/agents/agt_frontdesk")
        await api.post("/__sandbox/reset")
    async with living(file) as (second, _):
        assert "agt_frontdesk" in second.context.account.agents


def test_the_file_is_for_its_owner_alone(file: Path) -> None:
    assert Sandbox(state=file).key == Sandbox(state=file).key
    assert Sandbox(state=file, key=KEY).key == Sandbox(state=file).key == KEY
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param('{"version": 2, "key"', id="cut-off"),
        pytest.param("[]", id="something-else"),
        pytest.param('{"version": 2, "key": "k", "now": "2026-01-01T00:00:00Z", "account": {"agents": 3}}', id="odd"),
        pytest.param('{"version": 3, "key": "k", "now": "2026-01-01T00:00:00Z", "account": {}}', id="newer"),
        pytest.param("\udcff", id="no-text"),
    ],
)
def test_a_broken_file_is_refused_and_left_alone(file: Path, content: str) -> None:
    broken = content.encode(errors="surrogateescape")
    file.write_bytes(broken)
    with pytest.raises(StateFileError, match=r"state\.json"):
        Sandbox(state=file)
    with pytest.raises(StateFileError), running(state=file):
        pass
    assert file.read_bytes() == broken


def test_a_place_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StateFileError, match="cannot be written"):
        Sandbox(state=tmp_path / "nowhere" / "state.json")
    with pytest.raises(StateFileError, match="cannot be read"):
        Sandbox(state=tmp_path)


class Child:
    """Run a sandbox in its own process."""

    def __init__(self, file: Path) -> None:
        arguments = ["sandbox", "--port", "0", "--key", KEY, "--speed", "100", "--state", str(file)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agentphone_mcp", *arguments],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        lines = iter(self.process.stdout.readline, "")
        url = next(line.partition("=")[2].strip() for line in lines if "AGENTPHONE_BASE_URL=" in line)
        self.client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False, timeout=60
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        assert self.process.stdout
        self.process.stdout.close()


def load(child: Child, started: threading.Event, ask: Callable[[int], httpx.Response], done: list[Any]) -> None:
    """Write until the connection breaks, and collect what was answered 2xx."""
    number = 0
    while True:
        number += 1
        try:
            answer = ask(number)
        except httpx.TransportError:
            return
        if answer.is_success:
            done.append(answer.json())
            started.set()


def test_nothing_that_was_answered_is_lost_to_a_kill(file: Path) -> None:
    chance = SystemRandom()
    contacts: list[Any] = []
    agents: list[Any] = []
    calls: list[Any] = []
    for round_ in range(4):
        child = Child(file)
        phone = f"+1415{round_}"

        def contact(n: int, child: Child = child, phone: str = phone) -> httpx.Response:
            wanted = {"name": f"Contact {n}", "phoneNumber": f"{phone}{n:06}"}
            return child.client.post("/v1/contacts", json=wanted)

        def agent(n: int, child: Child = child) -> httpx.Response:
            return child.client.post("/v1/agents", json={"name": f"Agent {n}"})

        def call(_: int, child: Child = child) -> httpx.Response:
            return child.client.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550102"})

        started = threading.Event()
        threads = [
            threading.Thread(target=load, args=(child, started, ask, done))
            for ask, done in ((contact, contacts), (agent, agents), (call, calls))
        ]
        for thread in threads:
            thread.start()
        assert started.wait(10)
        threading.Event().wait(chance.uniform(0, 0.4))
        child.kill()
        for thread in threads:
            thread.join(10)
        child.client.close()
    child = Child(file)
    try:
        kept = on_disk(file)["account"]
        assert len(contacts) + len(agents) + len(calls) >= 4
        for done, kind in ((contacts, "contacts"), (agents, "agents"), (calls, "calls")):
            assert {thing["id"] for thing in done} <= kept[kind].keys()
        assert all(child.client.get(f"/v1/contacts/{one['id']}").json() == one for one in contacts[-5:])
        assert {call["status"] for call in kept["calls"].values()} <= {"completed", "failed", "no-answer"}
    finally:
        child.client.close()
        child.kill()

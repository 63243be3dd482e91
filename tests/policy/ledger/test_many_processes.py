"""Many processes of one user, at the same instant: one action is done once, and a limit holds for all of them."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from decimal import Decimal
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.sandbox import Sandbox
from tests.support import ROOT

WORKER = Path(__file__).with_name("worker.py")
PROCESSES = 16
PATIENCE = 120
"""Seconds after which the processes are ended, so that one that waits for ever fails its test."""


class Crowd:
    """Processes that have everything imported and wait for their actions."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(WORKER)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]
        self._within_patience(lambda: self._hear("started"))

    def do(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give each process its action, let all of them begin at once, and gather every answer."""
        return self._within_patience(lambda: self._do(jobs))

    def leave(self) -> None:
        """End every process, whatever it waits for."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()

    def _do(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._tell([json.dumps(job) for job in jobs])
        self._hear("ready")
        self._tell(["go"] * PROCESSES)
        return [json.loads(process.stdout.readline()) for process in self._processes]

    def _tell(self, lines: list[str]) -> None:
        for process, line in zip(self._processes, lines, strict=True):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def _hear(self, word: str) -> None:
        assert {process.stdout.readline() for process in self._processes} == {f"{word}\n"}

    def _within_patience(self, what: Callable[[], Any]) -> Any:
        watchdog = Timer(PATIENCE, lambda: [process.kill() for process in self._processes])
        watchdog.start()
        try:
            return what()
        finally:
            watchdog.cancel()


@pytest.fixture(scope="module")
def crowd() -> Generator[Crowd]:
    """Sixteen processes, which are gone in the end."""
    started = Crowd()
    yield started
    started.leave()


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A ledger that nobody has opened yet for each round; its schema is made by all the processes at once."""
    if request.param == "sqlite":
        return [str(tmp_path / f"ledgers{n}") for n in range(20)]
    database = request.getfixturevalue("postgresql")
    return [database() for _ in range(4)]


BOTH = pytest.mark.parametrize("places", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def rich(sandbox: Sandbox) -> Callable[[], None]:
    """Give the account money and room for a number, and forget what it was asked."""
    account = sandbox.context.account
    seeded = set(account.numbers)

    def rich() -> None:
        account.balance.amount = Decimal(100)
        for bought in set(account.numbers) - seeded:
            del account.numbers[bought]
        sandbox.requests.clear()

    return rich


def writes(sandbox: Sandbox) -> list[str]:
    """What reached the API and was no look."""
    return [f"{request.method} {request.path}" for request in sandbox.requests if request.method != "GET"]


def outcomes(place: str, account: str = "one") -> Counter[str]:
    """How many rows of each outcome a ledger holds for an account."""
    ledger = Ledger(place)
    counted = Counter(entry.outcome for entry in ledger.entries() if entry.account == account)
    ledger.close()
    return counted


def job(
    sandbox: Sandbox, place: str, limits: str, action: str, account: str = "one", **arguments: str
) -> dict[str, Any]:
    """What one process is told."""
    told = {"url": sandbox.url, "key": sandbox.key, "state": place, "account": account, "limits": limits}
    return told | {"action": action, "arguments": arguments}


@BOTH
@pytest.mark.slow
def test_the_same_purchase_asked_for_by_all_is_made_once(
    crowd: Crowd, sandbox: Sandbox, places: list[str], rich: Callable[[], None]
) -> None:
    """One request and one row; everybody else is told what came of it."""
    for n, place in enumerate(places):
        rich()
        answers = crowd.do([job(sandbox, place, "", "buy", external_id=f"round {n}")] * PROCESSES)
        assert writes(sandbox) == ["POST /v1/numbers"]
        assert {answer.get("status") for answer in answers} == {"done"}, answers
        assert Counter(answer["replayed"] for answer in answers) == {None: 1, True: PROCESSES - 1}
        assert len({answer["result"]["id"] for answer in answers}) == 1
        assert outcomes(place) == {"done": 1}


@BOTH
def test_a_cap_holds_for_all_processes_together(
    crowd: Crowd, sandbox: Sandbox, places: list[str], rich: Callable[[], None]
) -> None:
    """Of different calls just so many are placed as are allowed; the others are refused, and each has its row."""
    limits, called = "calls=5/hour,calls_to_one_number=off,spend=off", {"to_number": "+14155550101"}
    for account in (f"account {n}" for n in range(len(places))):
        rich()
        answers = crowd.do(
            [job(sandbox, places[0], limits, "call", account, prompt=f"Say {n}", **called) for n in range(PROCESSES)]
        )
        assert writes(sandbox) == ["POST /v1/calls"] * 5
        assert sum(answer.get("status") == "done" for answer in answers) == 5, answers
        assert sum("the limit calls=5/hour is reached" in answer.get("refused", "") for answer in answers) == 11, (
            answers
        )
        assert outcomes(places[0], account) == {"done": 5, "refused": 11}


@BOTH
def test_a_cap_on_dollars_holds_for_all_processes_together(
    crowd: Crowd, sandbox: Sandbox, places: list[str], rich: Callable[[], None]
) -> None:
    """Of purchases for three dollars each, ten dollars pay three."""
    for place in places[:3]:
        rich()
        answers = crowd.do(
            [
                job(sandbox, place, "numbers=off,spend=10/day", "buy", external_id=f"number {n}")
                for n in range(PROCESSES)
            ]
        )
        assert writes(sandbox) == ["POST /v1/numbers"] * 3
        assert sum("the limit spend=$10.00/day is reached" in answer.get("refused", "") for answer in answers) == 13
        assert outcomes(place) == {"done": 3, "refused": 13}

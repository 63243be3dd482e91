"""Several processes at once do an action once, and a limit holds for all of them together."""

import json
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
from tests.support import clean_environment

WORKER = Path(__file__).with_name("worker.py")
PATIENCE = 120
"""Seconds after which the processes are killed, so that one that never answers fails its test."""


class Crowd:
    """Processes that have everything imported and wait for their jobs."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(WORKER)],
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(size)
        ]
        self._within_patience(lambda: self._expect("started"))

    def do(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give each process its job, let all begin at once, and collect their answers."""
        return self._within_patience(lambda: self._do(jobs))

    def leave(self) -> None:
        """Kill every process."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()

    def _do(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._send([json.dumps(job) for job in jobs])
        self._expect("ready")
        self._send(["go"] * self.size)
        return [json.loads(process.stdout.readline()) for process in self._processes]

    def _send(self, lines: list[str]) -> None:
        for process, line in zip(self._processes, lines, strict=True):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert {process.stdout.readline() for process in self._processes} == {f"{word}\n"}

    def _within_patience(self, operation: Callable[[], Any]) -> Any:
        watchdog = Timer(PATIENCE, lambda: [process.kill() for process in self._processes])
        watchdog.start()
        try:
            return operation()
        finally:
            watchdog.cancel()


@pytest.fixture(scope="module", params=[6, pytest.param(16, marks=pytest.mark.slow)], ids="{}-processes".format)
def crowd(request: pytest.FixtureRequest) -> Generator[Crowd]:
    """Start some processes, and kill them in the end."""
    started = Crowd(request.param)
    yield started
    started.leave()


@pytest.fixture(params=["sqlite", "postgresql"])
def locations(request: pytest.FixtureRequest, tmp_path: Path, crowd: Crowd) -> list[str]:
    """Name a new ledger for each round; all processes create its schema at once."""
    is_many = crowd.size > 6
    if request.param == "sqlite":
        return [str(tmp_path / f"ledgers{n}") for n in range(20 if is_many else 3)]
    database = request.getfixturevalue("postgresql")
    return [database() for _ in range(4 if is_many else 2)]


@pytest.fixture
def rich(sandbox: Sandbox) -> Callable[[], None]:
    """Give the account money and room for a number, and forget its requests."""
    account = sandbox.context.account
    seeded = set(account.numbers)

    def rich() -> None:
        account.balance.amount = Decimal(100)
        for bought in set(account.numbers) - seeded:
            del account.numbers[bought]
        sandbox.requests.clear()

    return rich


def outcomes(location: str, account: str = "one") -> Counter[str]:
    """Count the rows of each outcome of an account."""
    ledger = Ledger(location)
    counted = Counter(entry.outcome for entry in ledger.entries() if entry.account == account)
    ledger.close()
    return counted


def refusals(answers: list[dict[str, Any]], reason: str) -> int:
    """Count the answers that were refused for a reason."""
    return sum(reason in answer.get("refused", "") for answer in answers)


def job(
    sandbox: Sandbox, location: str, limits: str, action: str, account: str = "one", **arguments: str
) -> dict[str, Any]:
    """Describe what one process does."""
    values = {"url": sandbox.url, "key": sandbox.key, "state": location, "account": account, "limits": limits}
    return values | {"action": action, "arguments": arguments}


def test_the_same_purchase_asked_for_by_all_is_made_once(
    crowd: Crowd, sandbox: Sandbox, locations: list[str], rich: Callable[[], None], writes: Callable[[], list[str]]
) -> None:
    for n, location in enumerate(locations):
        rich()
        answers = crowd.do([job(sandbox, location, "", "buy", external_id=f"round {n}")] * crowd.size)
        assert writes() == ["POST /v1/numbers"]
        assert {answer.get("status") for answer in answers} == {"done"}, answers
        assert Counter(answer["replayed"] for answer in answers) == {None: 1, True: crowd.size - 1}
        assert len({answer["result"]["id"] for answer in answers}) == 1
        assert outcomes(location) == {"done": 1}


def test_a_limit_holds_for_all_processes_together(
    crowd: Crowd, sandbox: Sandbox, locations: list[str], rich: Callable[[], None], writes: Callable[[], list[str]]
) -> None:
    limits, called = "calls=3/hour,calls_to_one_number=off,spend=off", {"to_number": "+14155550101"}
    for account in (f"account {n}" for n in range(len(locations))):
        rich()
        answers = crowd.do(
            [
                job(sandbox, locations[0], limits, "call", account, prompt=f"Say {n}", **called)
                for n in range(crowd.size)
            ]
        )
        assert writes() == ["POST /v1/calls"] * 3
        assert sum(answer.get("status") == "done" for answer in answers) == 3, answers
        assert refusals(answers, "the limit calls=3/hour is reached") == crowd.size - 3, answers
        assert outcomes(locations[0], account) == {"done": 3, "refused": crowd.size - 3}


def test_a_limit_on_dollars_holds_for_all_processes_together(
    crowd: Crowd, sandbox: Sandbox, locations: list[str], rich: Callable[[], None], writes: Callable[[], list[str]]
) -> None:
    for location in locations[:3]:
        rich()
        answers = crowd.do(
            [
                job(sandbox, location, "numbers=off,spend=10/day", "buy", external_id=f"number {n}")
                for n in range(crowd.size)
            ]
        )
        assert writes() == ["POST /v1/numbers"] * 3
        assert refusals(answers, "the limit spend=$10.00/day is reached") == crowd.size - 3, answers
        assert outcomes(location) == {"done": 3, "refused": crowd.size - 3}

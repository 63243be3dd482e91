"""Let one of some tools act on an account at a time, over all processes that share the ledger."""

import pytest

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.limits import Limits

SETTINGS = frozenset({"set_webhook", "update_agent"})
WEBHOOK = {"tool": "set_webhook", "target": "project", "to_number": None, "is_repeatable": False, "one_of": SETTINGS}
AGENT = WEBHOOK | {"tool": "update_agent", "target": "agt_1"}


@pytest.mark.attack("5", "changes of different kinds at once")
@pytest.mark.parametrize("outcome", ["done", "failed", "unknown"])
def test_a_change_waits_until_another_kind_is_settled(ledger, new_entry, outcome: str) -> None:
    first = ledger.begin(new_entry("Set the webhook", **WEBHOOK))
    waiting = ledger.begin(new_entry("Change the agent", **AGENT))
    assert isinstance(waiting, Entry)
    assert (waiting.id, waiting.outcome) == (first, "pending")
    ledger.settle(first, outcome)
    assert isinstance(ledger.begin(new_entry("Change the agent", **AGENT)), int)


@pytest.mark.attack("5", "changes of different kinds at once")
def test_it_waits_for_another_process_too(ledger, ledger_location: str, clock, new_entry) -> None:
    other = Ledger(ledger_location, clock)
    first = other.reserve(new_entry("Set the webhook", **WEBHOOK), Limits(()), repeat=False, within=60)
    waiting = ledger.begin(new_entry("Change the agent", **AGENT))
    other.close()
    assert isinstance(waiting, Entry)
    assert waiting.id == first


def test_what_is_of_no_such_tools_or_of_another_account_does_not_wait(ledger, new_entry) -> None:
    ledger.begin(new_entry("Set the webhook", **WEBHOOK))
    assert isinstance(ledger.begin(new_entry("Call Ada")), int)
    assert isinstance(ledger.begin(new_entry("Change the agent", **AGENT, account="b" * 16)), int)


def test_nothing_waits_for_what_takes_too_long(ledger, clock, new_entry) -> None:
    ledger.begin(new_entry("Set the webhook", **WEBHOOK), within=60)
    clock.now += 61
    assert isinstance(ledger.begin(new_entry("Change the agent", **AGENT)), int)

"""What is said when an action is not done, or not done again: which rule, until when, and what changes it."""

import math
from datetime import UTC, datetime

from agentphone_mcp.policy.actions import Action, Approval
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.limits import LimitExceeded
from agentphone_mcp.policy.pricing import in_dollars

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_UNAPPROVED = {
    "declined": "your user was asked and said no. Do not try again unless they ask for it.",
    "cancelled": "your user was asked and closed the question without an answer. Ask them what they want.",
    "timed out": "your user was asked and did not answer in time. Call again when they are there.",
    "cannot be asked": (
        "AGENTPHONE_APPROVAL=human wants a yes from a person, and this host cannot ask its user (it has no "
        "elicitation). They can use a host that can, or change that setting."
    ),
    "not asked": "your user was not asked, as things have changed in the meantime. Call again.",
}


def limit_exceeded(reached: LimitExceeded, micros: int, now: float) -> str:
    """Say which limit, when it frees, and how to raise it."""
    limit = reached.limit
    used = f" (about {in_dollars(reached.used_micros)} so far, and this is about {in_dollars(micros)})"
    raising = f"To raise it, your user can set AGENTPHONE_LIMITS={limit.name}=… in this server's entry and restart it."
    if math.isinf(reached.frees_at):
        return f"Nothing was done: the limit {limit} does not allow even one{used if limit.is_money else ''}. {raising}"
    frees = datetime.fromtimestamp(math.ceil(reached.frees_at), UTC)
    return (
        f"Nothing was done: the limit {limit} is reached{used if limit.is_money else ''}. There is room again in "
        f"{_span(reached.frees_at - now)}, at {frees:%Y-%m-%d %H:%M:%S} UTC. {raising}"
    )


def not_approved(approval: Approval) -> str:
    """Say why a person's yes is missing."""
    return f"Nothing was done: {_UNAPPROVED[approval.answer]}"


def changed(now: Action) -> str:
    """Say that an action is another one than what somebody agreed to."""
    return f"Nothing was done: what was agreed to has changed since. It would be: {now.summary}"


def ledger_unavailable(broken: LedgerUnavailable, *, to_operator: bool) -> str:
    """Say that without the ledger nothing is spent; why, and where it is, to whoever can mend it."""
    if not to_operator:
        return (
            "Nothing was done: this server's ledger cannot be written, and without it nothing is spent or destroyed. "
            "Reading works. Try again later; its operator finds the reason in its log."
        )
    return (
        f"Nothing was done: the ledger at {broken.place} cannot be written ({broken.reason}), and without it nothing "
        "is spent or destroyed. Reading works. Your user can name another folder in AGENTPHONE_STATE."
    )


def under_way(earlier: Entry, now: float) -> str:
    """Say that the same is being done just now."""
    return (
        f"Nothing was done: the same was asked for {_span(now - earlier.at)} ago and is still under way. "
        "Call again in a moment to learn what came of it."
    )


def replayed(earlier: Entry, action: Action, now: float) -> str:
    """Say that this was done before, and how to have it twice."""
    if earlier.fingerprint != action.fingerprint:
        return reworded(earlier, now)
    return f"This was done {_span(now - earlier.at)} ago and not again. {_twice(action)}"


def reworded(earlier: Entry, now: float) -> str:
    """Say that another action like it, whose answer was lost, was done after all."""
    ids = f", {', '.join(earlier.ids.values())}" if earlier.ids else ""
    return (
        f"Nothing was done now: something like it was done {_span(now - earlier.at)} ago, though its answer was lost "
        f"({earlier.summary}{ids}). Only if your user wants this one besides, add repeat=true."
    )


def still_unknown(earlier: Entry, action: Action, now: float) -> str:
    """Say that nobody knows, and what settles it."""
    was = "this" if earlier.fingerprint == action.fingerprint else f"something like it ({earlier.summary})"
    return (
        f"Nothing was done now: {was} was tried {_span(now - earlier.at)} ago and its answer was lost "
        f"({earlier.reason}). It may have happened: look with {action.verify_with}. {_twice(action)}"
    )


def _twice(action: Action) -> str:
    return "" if action.confirmation else "Only if your user wants it nevertheless, add repeat=true."


def _span(seconds: float) -> str:
    """Write a length of time for a person."""
    for size, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}s"
    whole = max(1, math.ceil(seconds))
    return f"{whole} second{'s' if whole > 1 else ''}"

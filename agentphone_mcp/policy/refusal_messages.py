"""Word the refusals of the gate: which rule refused, until when, and what changes it.

The refusal for a limit stands beside the limits, in `limits.py`; the one for a destination in `destinations.py`.
"""

from agentphone_mcp.policy.actions import Action, Approval
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import LONGEST_SUMMARY, Entry, hang_up_in
from agentphone_mcp.policy.limits import duration_text, how_to_raise
from agentphone_mcp.policy.untrusted import mark

_LONGEST_IN_AN_ANSWER = 2_500
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


def not_approved(approval: Approval) -> str:
    """Say why the approval of a person is missing."""
    return f"Nothing was done: {_UNAPPROVED[approval.answer]}"


def changed(now: Action) -> str:
    """Say that the action has changed since a person agreed to it."""
    return (
        "Nothing was done: what was agreed to has changed since, or what it uses. Show your user this, and ask again. "
        f"It would be: {now.summary}"
    )


def too_long(action: Action) -> str:
    """Say that a person could not see all that they would agree to."""
    return (
        "Nothing was done: it is too long to be shown to your user as a whole, with "
        f"{len(action.question):,} of at most {LONGEST_SUMMARY:,} characters. Shorten its texts, or the agent's own."
    )


def ledger_unavailable(exc: LedgerUnavailable, *, to_operator: bool) -> str:
    """Say that nothing is spent without the ledger; only the operator learns why and where it is."""
    if not to_operator:
        return (
            "Nothing was done: this server's ledger cannot be written, and without it nothing is spent or destroyed. "
            "Reading works. Try again later; its operator finds the reason in its log."
        )
    return (
        f"Nothing was done: the ledger at {exc.location} cannot be written ({exc.reason}), and without it nothing "
        "is spent or destroyed. Reading works. Your user can name another folder in AGENTPHONE_STATE."
    )


def under_way(earlier: Entry, action: Action, now: float) -> str:
    """Say that the same action is pending, or one that has to end before."""
    if earlier.fingerprint != action.fingerprint:
        return (
            f"Nothing was done: another change of who gets calls and texts was begun {_ago(earlier, now)} "
            f"({shortened(earlier.summary)}). Call again when it is over."
        )
    return (
        f"Nothing was done: the same was asked for {_ago(earlier, now)} and is still under way. "
        "Call again in a moment to learn what came of it."
    )


def replayed(earlier: Entry, action: Action, now: float) -> str:
    """Say that the action was done before, and how to do it again."""
    if earlier.fingerprint != action.fingerprint:
        return reworded(earlier, now)
    cut = hang_up_in(earlier.reason)
    ended = f" {hung_up(cut)}" if cut else ""
    return f"This was done {_ago(earlier, now)} and not again.{ended} {_how_to_repeat(action)}"


def hung_up(why: str) -> str:
    """Say that the server hung up a call, in the words of its row."""
    return f"It was {why}. {how_to_raise('spend')}"


def reworded(earlier: Entry, now: float) -> str:
    """Say that a similar action, whose answer was lost, was done after all."""
    ids = f", {', '.join(earlier.ids.values())}" if earlier.ids else ""
    return (
        f"Nothing was done now: something like it was done {_ago(earlier, now)}, though its answer was lost "
        f"({shortened(earlier.summary)}{ids}). Only if your user wants this one besides, add repeat=true."
    )


def still_unknown(earlier: Entry, action: Action, now: float) -> str:
    """Say that the outcome of an earlier action is unknown, and which tool shows it."""
    was = "this" if earlier.fingerprint == action.fingerprint else f"something like it ({shortened(earlier.summary)})"
    return (
        f"Nothing was done now: {was} was tried {_ago(earlier, now)} and its answer was lost "
        f"({mark(earlier.reason or '')}). It may have happened: look with {action.verify_with}. "
        f"{_how_to_repeat(action)}"
    )


def shortened(summary: str) -> str:
    """Cut a summary that was kept whole, as a person read it, for an answer to the model."""
    return summary if len(summary) <= _LONGEST_IN_AN_ANSWER else f"{summary[:_LONGEST_IN_AN_ANSWER]}… (cut here)"


def _how_to_repeat(action: Action) -> str:
    return "" if action.confirmation else "Only if your user wants it nevertheless, add repeat=true."


def _ago(earlier: Entry, now: float) -> str:
    return f"{duration_text(now - earlier.at)} ago"

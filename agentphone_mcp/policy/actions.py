"""Describe an action before it is done: what a person is asked to approve, and what came of it."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from agentphone_mcp.api.provenance import ServerText
from agentphone_mcp.policy.pricing import FREE, Cost
from agentphone_mcp.policy.proofs import is_same

Result = TypeVar("Result", bound=BaseModel)
ApprovalAnswer = Literal["not asked", "yes", "declined", "cancelled", "timed out", "cannot be asked"]
"""What a person answered when the host asked them, or why there is no answer."""


@dataclass(frozen=True)
class Approval:
    """Record who approved an action: the host's name, its user's answer, and the question's row in the ledger."""

    by: str = "unknown host"
    answer: ApprovalAnswer = "not asked"
    question: int | None = None


@dataclass(frozen=True)
class Action:
    """Describe what a gated tool would do, so that a person can decide.

    Attributes:
        summary: the action as a sentence, with the names and numbers behind the ids, and long texts cut.
        whole: the same with every text that is sent or used, for a person; empty if `summary` is whole.
        relies_on: what else of the account it uses; a change of it is a change of the action.
        verify_with: the tool that shows whether it happened, if the answer is lost.
        confirmation: for what cannot be undone, the number, name or URL that `confirm` must repeat.
        next_step: what to do once it is done.
        arguments: what makes two actions of one tool the same.
        to_number: the number that it reaches, in E.164.
        local_time: the time at that number, as it stands in `summary`.
        match_on: what a look-up finds it by, if the answer is lost.
        is_free: it spends, reaches, diverts and destroys nothing: it needs no approval, and is not written down.
        is_first: it sets what was not set, and takes nothing from anybody: it needs no approval, and is written down.
        subject: the id of what a first setting changes.
        one_of: the tools of which one at a time acts on an account, as each is described by what it finds there.
        resolved: values of the write that no argument gave, as looked up for the description.
        refresh: describes it again from the present state of the account.
    """

    summary: str
    verify_with: str
    confirmation: str | None = None
    next_step: str | None = None
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    to_number: str | None = None
    local_time: str = ""
    cost: Cost = FREE
    match_on: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    is_free: bool = False
    is_first: bool = False
    subject: str = ""
    one_of: frozenset[str] = frozenset()
    whole: str = ""
    relies_on: Mapping[str, Any] = field(default_factory=dict[str, Any])
    approval: Approval = Approval()
    resolved: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refresh: "Callable[[], Awaitable[Action]] | None" = field(default=None, compare=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the tool and its arguments in any order: equal for the same action."""
        return _hash([self.tool, self.arguments])

    @property
    def question(self) -> str:
        """Return what a person is asked: all that is sent and used."""
        return self.whole or self.summary

    @property
    def preview_hash(self) -> str:
        """SHA-256 of all that is sent and used, without the local time: equal while nothing of it has changed."""
        timeless = self.question.replace(self.local_time, "")
        return _hash([timeless, self.relies_on])

    @property
    def needs_approval(self) -> bool:
        """Tell whether it waits for `confirm`, and for a person where the policy says so."""
        return not (self.is_free or self.is_first)

    @property
    def is_repeatable(self) -> bool:
        """Tell whether the same may be meant twice; what was destroyed or set cannot be so once more."""
        return self.needs_approval and self.confirmation is None

    @property
    def target(self) -> str:
        """Return what stays blocked while the outcome is unknown: a reworded action could do it twice."""
        return self.to_number or self.confirmation or self.subject

    def is_confirmed(self, confirm: bool | str | None) -> bool:
        """Tell whether `confirm` approves this action: exactly True, or its confirmation where it has one."""
        if self.confirmation is None:
            return confirm is True
        return isinstance(confirm, str) and is_same(confirm, self.confirmation)

    def how_to_confirm(self) -> str:
        """Tell the model how to get from the preview to the action."""
        value = "true" if self.confirmation is None else json.dumps(self.confirmation, ensure_ascii=False)
        return f"Ask your user. Only if they agree, call this again with the same arguments and confirm={value}."


def _hash(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Outcome(BaseModel, Generic[Result]):
    """The result of a gated tool; nothing was done while the status is `needs_confirmation`.

    Attributes:
        status: how far it got.
        what: the action, in a sentence.
        replayed: True if it was done before and not again; this is the first outcome.
        result: what the API answered.
        next_step: what to do now.
    """

    status: Literal["needs_confirmation", "done", "unknown"]
    what: ServerText
    replayed: bool | None = None
    result: Result | None = None
    next_step: ServerText | None = None

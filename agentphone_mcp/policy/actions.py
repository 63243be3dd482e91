"""What a gated tool would do, what a person said to it, and what came of it."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from agentphone_mcp.policy.pricing import FREE, Cost

Result = TypeVar("Result", bound=BaseModel)
ApprovalAnswer = Literal["not asked", "yes", "declined", "cancelled", "timed out", "cannot be asked"]
"""What a person said when the host asked them, or why they said nothing."""


@dataclass(frozen=True)
class Approval:
    """Who let an action pass, and how.

    Attributes:
        by: the host, as it names itself.
        answer: what its user said, where they were asked.
        question: the row of the ledger that holds the question.
    """

    by: str = "unknown host"
    answer: ApprovalAnswer = "not asked"
    question: int | None = None


@dataclass(frozen=True)
class Action:
    """What a gated tool would do, said so that a person can decide.

    Attributes:
        summary: the action as a sentence, with the names and numbers behind the ids.
        verify_with: the tool that shows whether it happened, for when the answer is lost.
        confirmation: for what cannot be undone: the number, name or URL that `confirm` must repeat.
        next_step: what to do when it is done.
        tool: the tool that does it.
        arguments: what makes two actions of one tool the same; a description names those that it knows better.
        to_number: whom it reaches, in E.164.
        local_time: what the clock there shows, as `summary` says it.
        cost: what it costs, as far as that is known before.
        match_on: what a look-up finds it by, when its answer was lost.
        is_free: nothing is spent, reached or destroyed, so nobody needs to agree.
        approval: who let it pass.
        resolved: what the write takes that nobody gave, as the description found it.
        refresh: describes it anew, by what the account holds at that moment.
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
    approval: Approval = Approval()
    resolved: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refresh: "Callable[[], Awaitable[Action]] | None" = field(default=None, compare=False)

    @property
    def fingerprint(self) -> str:
        """The same for the same tool with the same arguments, whatever their order; nothing can be read from it."""
        said = json.dumps([self.tool, self.arguments], sort_keys=True, ensure_ascii=True, default=str)
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def preview_hash(self) -> str:
        """The same as long as a person would read the same, but for the clock; nothing can be read from it."""
        timeless = self.summary.replace(self.local_time, "")
        return hashlib.sha256(timeless.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def target(self) -> str:
        """What an unknown outcome blocks: whoever words a text or a purchase anew may still do it twice."""
        return self.to_number or self.confirmation or ""

    def is_confirmed(self, confirm: bool | str | None) -> bool:
        """Whether `confirm` is this action's yes: exactly True, or its proof where it has one."""
        if self.confirmation is None:
            return confirm is True
        return bool(self.confirmation) and confirm == self.confirmation

    def how_to_confirm(self) -> str:
        """The step from the preview to the action."""
        value = "true" if self.confirmation is None else json.dumps(self.confirmation, ensure_ascii=False)
        return f"Ask your user. Only if they agree, call this again with the same arguments and confirm={value}."


class Outcome(BaseModel, Generic[Result]):
    """What came of a gated tool; nothing was written while the status is `needs_confirmation`.

    Attributes:
        status: how far it got.
        what: the action, in a sentence.
        replayed: done before and not again, so this is the first outcome.
        result: what the API answered.
        next_step: what to do now.
    """

    status: Literal["needs_confirmation", "done", "unknown"]
    what: str
    replayed: bool | None = None
    result: Result | None = None
    next_step: str | None = None

"""The one door that every tool that spends or destroys goes through."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from agentphone_mcp.api.errors import OutcomeUnknown
from agentphone_mcp.guard.refused import Refused

Result = TypeVar("Result", bound=BaseModel)


@dataclass(frozen=True)
class Deed:
    """What a gated tool would do, said so that a person can decide.

    Attributes:
        what: the deed as a sentence, with the names and numbers behind the ids.
        look_up: the tool that shows whether it happened, for when the answer is lost.
        proof: for what cannot be undone: the number, name or URL that `confirm` must repeat.
        then: what to do when it is done.
    """

    what: str
    look_up: str
    proof: str | None = None
    then: str | None = None


class Outcome(BaseModel, Generic[Result]):
    """What came of a gated tool; nothing was written while the status is `needs_confirmation`."""

    status: Literal["needs_confirmation", "done", "unknown"]
    what: Annotated[str, Field(description="The deed, in a sentence")]
    result: Result | None = None
    next_step: str | None = None


class Gate:
    """Carries out confirmed deeds and explains the others."""

    async def carry_out(
        self, deed: Deed, confirm: bool | str | None, do: Callable[[], Awaitable[Result]]
    ) -> Outcome[Result]:
        """Do it if it was confirmed; say what would happen if not.

        Args:
            deed: what it is.
            confirm: the tool's argument: exactly True, or the deed's proof where it has one.
            do: the write; called once at most, and never before the confirmation.

        Returns:
            `unknown` when the answer to the write was lost: it may have happened.

        Raises:
            Refused: when `confirm` names another thing than the one that would be destroyed.
        """
        if confirm is None or confirm is False:
            return Outcome(status="needs_confirmation", what=deed.what, next_step=_how_to_confirm(deed))
        if not _is_yes(confirm, deed):
            raise Refused(f"Nothing was done: confirm does not match. {deed.what} {_how_to_confirm(deed)}")
        try:
            result = await do()
        except OutcomeUnknown as lost:
            said = f"{lost.status} {lost.detail}".strip() if lost.status else lost.detail
            return Outcome(
                status="unknown",
                what=deed.what,
                next_step=f"It may or may not have happened ({said}). Look with {deed.look_up} before anything "
                "else; do not just repeat it.",
            )
        return Outcome(status="done", what=deed.what, result=result, next_step=deed.then)


def _is_yes(confirm: bool | str, deed: Deed) -> bool:
    if deed.proof is None:
        return confirm is True
    return bool(deed.proof) and confirm == deed.proof


def _how_to_confirm(deed: Deed) -> str:
    value = "true" if deed.proof is None else json.dumps(deed.proof, ensure_ascii=False)
    return f"Ask your user. Only if they agree, call this again with the same arguments and confirm={value}."

"""Decide what the agent says, which keys it presses, and when it hangs up: the built-in AI and voicemail."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from agentphone_mcp.sandbox.data.models import Call

_MANNERS = re.compile(
    r"(you are|you're|your|be|keep|say|speak|always|never|do not|don't|if|when|begin|start|at the start|disclose"
    r"|introduce|state|tell|open)\b",
    re.IGNORECASE,
)
_KEY_OFFERED = re.compile(r"\bpress ([0-9*#])", re.IGNORECASE)
_WANTS_HUMAN = re.compile(r"\b(human|real person|somebody real)\b", re.IGNORECASE)
_FAREWELL = re.compile(r"\b(goodbye|bye)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """Describe one turn of the agent: it speaks, then presses `digits`, then hangs up or transfers.

    `text` None is silence. `then` waits for the rest of the turn, such as the next chunk of a stream.
    """

    text: str | None = None
    hangup: bool = False
    transfer: bool = False
    digits: str | None = None
    then: "Callable[[], Awaitable[Reply]] | None" = None


class Replies(Protocol):
    """Speak for the agent: implemented by the built-in AI, the voicemail message and the webhook."""

    async def reply(self, call: Call, heard: str) -> Reply:
        """Return the answer to what the other party just said."""
        ...


class VoicemailMessage:
    """Leave the agent's message on an answering machine and hang up."""

    async def reply(self, call: Call, heard: str) -> Reply:
        """Return the message, or silence, and hang up."""
        return Reply(call.voicemail_message, hangup=True)


class Script:
    """Imitate the built-in AI of hosted mode: fixed lines about the prompt's purpose, without a model."""

    def __init__(self) -> None:
        self._lines_spoken = 0

    async def reply(self, call: Call, heard: str) -> Reply:
        """Return the next line, or press the first key that a menu offers.

        A goodbye ends the call; a caller who asks for a human is transferred if the agent has a `transferNumber`.
        """
        if offered := _KEY_OFFERED.search(heard):
            return Reply(digits=offered[1])
        if _FAREWELL.search(heard):
            return Reply("Thank you for your time. Goodbye!", hangup=True)
        if _WANTS_HUMAN.search(heard):
            if call.transfer_number:
                return Reply("Of course. Let me connect you with a colleague.", transfer=True)
            return Reply("I am sorry, I cannot connect you with a person from here.")
        purpose = purpose_of(call.prompt)
        lines = (
            f"Thank you. I am here to {purpose}.",
            "Only a quick confirmation that this suits you.",
            "Wonderful, I have noted it. Is there anything else I can do for you?",
            f"I see. Let us come back to why we are talking: to {purpose}.",
        )
        text = lines[min(self._lines_spoken, len(lines) - 1)]
        self._lines_spoken += 1
        return Reply(text)


def purpose_of(prompt: str) -> str:
    """Summarize a system prompt as words that fit after "to": its first sentence that asks for an action.

    Everything below a line that begins with === is rules, not an action.
    """
    prompt = prompt.partition("\n===")[0]
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+|\n+", prompt) if sentence.strip()]
    actions = [sentence for sentence in sentences if not _MANNERS.match(sentence)]
    if actions:
        action = actions[0].rstrip(".!?")[:140]
        return action[0].lower() + action[1:]
    persona = re.match(r"(?:you are|you're)\s+([^.!?,]+)", prompt.strip(), re.IGNORECASE)
    return f"talk to you as {persona[1].strip()[:120]}" if persona else "talk to you"

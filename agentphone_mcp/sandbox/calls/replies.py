"""Who speaks for the agent in a call."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from agentphone_mcp.sandbox.data.models import Call

_MANNER = re.compile(
    r"(you are|you're|your|be|keep|say|speak|always|never|do not|don't|if|when|begin|start|at the start|disclose"
    r"|introduce|state|tell|open)\b",
    re.IGNORECASE,
)
_WANTS_HUMAN = re.compile(r"\b(human|real person|somebody real)\b", re.IGNORECASE)
_MENU = re.compile(r"\bpress (?P<digit>[0-9*#])", re.IGNORECASE)
_FAREWELL = re.compile(r"\b(goodbye|bye)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """What the agent does with its turn: it speaks, then presses `digits`, then hangs up or transfers.

    `text` None is silence. `then` waits for what follows in the same turn, such as the next chunk of a stream.
    """

    text: str | None = None
    hangup: bool = False
    transfer: bool = False
    digits: str | None = None
    then: "Callable[[], Awaitable[Reply]] | None" = None


class Replies(Protocol):
    """The seam of the call simulator: the built-in AI, a voicemail message, or a webhook."""

    async def reply(self, call: Call, heard: str) -> Reply:
        """Answer what the other party just said."""
        ...


class VoicemailMessage:
    """Leaves the agent's message on a machine and hangs up."""

    async def reply(self, call: Call, heard: str) -> Reply:
        """Speak after the tone."""
        return Reply(call.voicemail_message, hangup=True)


class Script:
    """The built-in AI of hosted mode: no model, but lines that follow the prompt's gist, the same ones every time."""

    def __init__(self) -> None:
        self._said = 0

    async def reply(self, call: Call, heard: str) -> Reply:
        """The next line; a goodbye is returned, a menu gets the first digit that it offers.

        Whoever asks for a human is transferred when that is possible.
        """
        menu = _MENU.search(heard)
        if menu:
            return Reply(digits=menu["digit"])
        if _FAREWELL.search(heard):
            return Reply("Thank you for your time. Goodbye!", hangup=True)
        if _WANTS_HUMAN.search(heard):
            if call.transfer_number:
                return Reply("Of course. Let me connect you with a colleague.", transfer=True)
            return Reply("I am sorry, I cannot connect you with a person from here.")
        purpose = gist(call.prompt)
        lines = (
            f"Thank you. I am here to {purpose}.",
            "Only a quick confirmation that this suits you.",
            "Wonderful, I have noted it. Is there anything else I can do for you?",
            f"I see. Let us come back to why we are talking: to {purpose}.",
        )
        line = lines[min(self._said, len(lines) - 1)]
        self._said += 1
        return Reply(line)


def gist(prompt: str) -> str:
    """What a system prompt wants done, as words that fit after "to": its first sentence that orders an action.

    What stands below a line that begins with === is rules and no action.
    """
    prompt = prompt.partition("\n===")[0]
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+|\n+", prompt) if sentence.strip()]
    actions = [sentence for sentence in sentences if not _MANNER.match(sentence)]
    if actions:
        action = actions[0].rstrip(".!?")[:140]
        return action[0].lower() + action[1:]
    persona = re.match(r"(?:you are|you're)\s+([^.!?,]+)", prompt.strip(), re.IGNORECASE)
    return f"talk to you as {persona[1].strip()[:120]}" if persona else "talk to you"

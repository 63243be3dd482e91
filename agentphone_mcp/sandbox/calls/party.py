"""Play the other party of a call: what it says next, when it interrupts, and how it takes pressed keys."""

from collections import deque
from collections.abc import Mapping

from agentphone_mcp.sandbox.data.callees import Callee

_WORDS_HEARD_OUT = 6
_TIMES_ASKED = 3


class Party:
    """Play a callee, or a caller, in one call."""

    def __init__(self, callee: Callee) -> None:
        self._callee = callee
        self._coming = deque(callee.lines)
        self._menu = Menu(callee.lines, callee.menu)

    @property
    def hangs_up(self) -> bool:
        """Whether it hangs up now, without waiting for an answer."""
        return self._callee.is_abrupt and not self._coming

    @property
    def tolerates_silence(self) -> bool:
        """Whether silence is fine, as for a menu that waits for a key."""
        return self._menu.is_open

    def next_line(self) -> str | None:
        """Return what it says now, or None when it has nothing more to say."""
        if self._menu.is_open and not self._coming:
            self._coming.extend(self._menu.choose())
        return self._coming.popleft() if self._coming else None

    def press(self, keys: str) -> None:
        """Take the keys (DTMF) that the agent pressed; only a menu reacts."""
        self._menu.press(keys)

    def interrupt(self, text: str) -> str | None:
        """Return what the agent says before this party barges in, or None when it is heard out."""
        words = text.split()
        if self._callee.is_impatient and self._coming and len(words) > _WORDS_HEARD_OUT:
            return " ".join(words[: len(words) // 2]) + " —"
        return None


class Menu:
    """Follow the keys (DTMF) pressed at a menu (IVR): `question` asks, a choice's lines follow its key."""

    def __init__(self, question: tuple[str, ...], choices: Mapping[str, tuple[str, ...]]) -> None:
        self._question = question
        self._choices = choices
        self._pressed = ""
        self._times_asked = 1
        self.is_open = bool(choices)

    def press(self, keys: str) -> None:
        """Add keys that the agent pressed."""
        self._pressed += keys

    def choose(self) -> tuple[str, ...]:
        """Return the lines of the first valid key; without one ask again, at most three times in all."""
        pressed, self._pressed = self._pressed, ""
        chosen = next((self._choices[key] for key in pressed if key in self._choices), None)
        if chosen is None and self._times_asked < _TIMES_ASKED:
            self._times_asked += 1
            sorry = "Sorry, that is not a choice. " if pressed else ""
            return tuple(sorry + line for line in self._question)
        self.is_open = False
        return chosen or ("We have not received a choice. Goodbye.",)

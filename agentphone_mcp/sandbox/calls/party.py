"""Play the other party of a call: what it says next, when it interrupts, and where pressed keys (DTMF) lead."""

from collections import deque

from agentphone_mcp.sandbox.data.callees import Callee

_WORDS_HEARD_OUT = 6
_TIMES_ASKED = 3


class Party:
    """Play a callee, or a caller, in one call. A menu (IVR) waits for a key until it is chosen or given up."""

    def __init__(self, callee: Callee) -> None:
        self.waits_for_key = bool(callee.menu)
        self._callee = callee
        self._coming = deque(callee.lines)
        self._pressed = ""
        self._times_asked = 1

    @property
    def hangs_up(self) -> bool:
        """Tell whether it hangs up now, without waiting for an answer."""
        return self._callee.is_abrupt and not self._coming

    def next_line(self) -> str | None:
        """Return what it says now, or None when it has nothing more to say."""
        if self.waits_for_key and not self._coming:
            self._coming.extend(self._choose())
        return self._coming.popleft() if self._coming else None

    def press(self, keys: str) -> None:
        """Take the keys (DTMF) that the agent pressed; only a menu reacts."""
        self._pressed += keys

    def interrupt(self, text: str) -> str | None:
        """Return what the agent says before this party barges in, or None when it is heard out."""
        words = text.split()
        if self._callee.is_impatient and self._coming and len(words) > _WORDS_HEARD_OUT:
            return " ".join(words[: len(words) // 2]) + " —"
        return None

    def _choose(self) -> tuple[str, ...]:
        """Return the lines of the first valid key; without one ask again, at most three times in all."""
        pressed, self._pressed = self._pressed, ""
        chosen = next((self._callee.menu[key] for key in pressed if key in self._callee.menu), None)
        if chosen is None and self._times_asked < _TIMES_ASKED:
            self._times_asked += 1
            sorry = "Sorry, that is not a choice. " if pressed else ""
            return tuple(sorry + line for line in self._callee.lines)
        self.waits_for_key = False
        return chosen or ("We have not received a choice. Goodbye.",)

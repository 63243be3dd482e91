"""Press the keys (DTMF) of a callee's menu (IVR): which key the built-in AI presses, and where each key leads."""

import re
from collections.abc import Mapping

_OFFER = re.compile(r"\bpress (?P<key>[0-9*#])", re.IGNORECASE)
_TIMES_ASKED = 3


def first_key_offered(heard: str) -> str | None:
    """Return the first key that a spoken menu offers, such as 1 for "press 1 for sales"."""
    offer = _OFFER.search(heard)
    return offer["key"] if offer else None


class Menu:
    """Follow the keys that the agent presses at a menu.

    Args:
        question: the lines that ask for a key.
        choices: the lines that follow each key.
    """

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

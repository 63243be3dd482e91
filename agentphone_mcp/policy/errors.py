"""Raise the one exception of the policy: an action was refused."""


class Refused(Exception):
    """Raised when the policy refuses an action; nothing was done. The message is for the model and its user."""


class AnsweredBefore(Refused):
    """Raised when a person's answer fits no open question: it was used before, or the action has changed since."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing was done: no open question fits that answer. A yes counts once, for what was asked. Call again."
        )

"""The one way to say no."""


class Refused(Exception):
    """A rule of ours says no; nothing was done. The message is for the model and its user."""


class AnsweredBefore(Refused):
    """A person's answer is to no open question: it came before, or the action is another one by now."""

    def __init__(self) -> None:
        super().__init__(
            "Nothing was done: no open question fits that answer. A yes counts once, for what was asked. Call again."
        )

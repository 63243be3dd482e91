"""The one way to say no."""


class Refused(Exception):
    """A rule of ours says no; nothing was done. The message is for the model and its user."""


class AnsweredBefore(Refused):
    """A person's answer comes a second time."""

    def __init__(self) -> None:
        super().__init__("Nothing was done: that answer was given before, and a yes counts once. Call again.")

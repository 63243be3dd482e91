"""The one way to say no."""


class Refused(Exception):
    """A rule of ours says no; nothing was done. The message is for the model and its user."""

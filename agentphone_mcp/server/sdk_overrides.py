"""Methods of the SDK that ours stand in for, though they are its own affair: a newer one may call them otherwise."""

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def overriding(base: type) -> Callable[[Method], Method]:
    """Declare a method to stand in for that of a base, which is looked for when the class is made.

    Python would take it for a method of ours where the base has no such one any more, and nobody would call it.

    Raises:
        ImportError: if the base has none of that name.
    """

    def checked(method: Method) -> Method:
        if not callable(getattr(base, method.__name__, None)):
            from importlib.metadata import version

            raise ImportError(
                f"the installed mcp {version('mcp')} has no {base.__name__}.{method.__name__}, which agentphone-mcp "
                "needs: install a newer agentphone-mcp, or an older mcp"
            )
        return method

    return checked

"""Mark methods that override private SDK methods; importing fails if the SDK no longer has them."""

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def overriding(base: type) -> Callable[[Method], Method]:
    """Declare that a method overrides one of a base class; checked when the class is made.

    Without the check, a method that the base no longer has would silently never be called.

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

"""Authenticate nobody: for loopback alone, where every client is a process of this machine."""

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller


class LoopbackAuth:
    """Treat every caller as the operator."""

    challenge = "Bearer"
    challenge_message = ""

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the operator."""
        return OPERATOR

    def is_still_valid(self, caller: Caller) -> bool:
        """Return True: there are no credentials that could expire."""
        return True

    async def unavailable_reason(self) -> None:
        """Return None: nothing can be unavailable."""

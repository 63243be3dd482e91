"""No question asked: for loopback alone, where whoever can connect is the operator or runs as them."""

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller


class LoopbackAuth:
    """Admits everybody as the operator."""

    challenge = "Bearer"
    challenge_message = ""

    async def authenticate(self, headers: Headers) -> Caller:
        """Always the operator."""
        return OPERATOR

    def is_still_valid(self, caller: Caller) -> bool:
        """Always."""
        return True

    async def unavailable_reason(self) -> None:
        """Nothing can be wrong here."""

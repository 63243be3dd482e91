"""No question asked: for loopback alone, where whoever can connect is the operator or runs as them."""

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller


class OpenDoor:
    """Admits everybody as the operator."""

    challenge = "Bearer"
    asks_for = ""

    async def admit(self, headers: Headers) -> Caller:
        """Always the operator."""
        return OPERATOR

    def still_admits(self, caller: Caller) -> bool:
        """Always."""
        return True

    async def trouble(self) -> None:
        """Nothing can be wrong here."""

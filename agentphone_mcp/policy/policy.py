"""Hold the policy of one server: limits, destinations, disclosure and approval."""

from dataclasses import dataclass

from agentphone_mcp.policy.destinations import Destinations
from agentphone_mcp.policy.limits import Limits


@dataclass(frozen=True)
class Policy:
    """What this server was told to allow.

    Attributes:
        limits: how much in how long.
        destinations: who may be called and texted, and when.
        ai_disclosure: whether every call says at its start that an AI is speaking.
        requires_human_approval: whether the host has to ask its user, besides `confirm`.
        seconds_to_answer: how long that user has.
        is_shared: whether others than the operator are told what is refused.
        seconds_to_write: after which an action that was never settled is unresolved: longer than any request takes.
    """

    limits: Limits
    destinations: Destinations
    requires_human_approval: bool = False
    ai_disclosure: bool = True
    seconds_to_answer: float = 300.0
    seconds_to_write: float = 180.0
    is_shared: bool = False

"""Hold the policy of one server: limits, destinations, disclosure and approval."""

from dataclasses import dataclass

from agentphone_mcp.policy.destinations import Destinations
from agentphone_mcp.policy.limits import Limits


@dataclass(frozen=True)
class Policy:
    """Hold what the operator allows the tools of this server to do.

    Attributes:
        requires_human_approval: whether the host must ask its user, in addition to `confirm`.
        seconds_to_write: after how long an unsettled action counts as unknown: longer than any request takes.
        is_shared: whether callers other than the operator read the refusals.
    """

    limits: Limits
    destinations: Destinations
    requires_human_approval: bool = False
    ai_disclosure: bool = True
    seconds_to_answer: float = 300.0
    seconds_to_write: float = 180.0
    is_shared: bool = False

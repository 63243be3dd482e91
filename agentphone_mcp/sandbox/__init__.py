"""Imitate the AgentPhone REST API in memory, for practice without money and for tests.

    with running(speed=20) as sandbox:
        httpx.get(sandbox.url + "/v1/usage", headers={"Authorization": f"Bearer {sandbox.key}"})

Nothing leaves the machine: no phone rings, no text is sent, and webhooks go to loopback addresses only.
Calls, with the keys that an agent presses at a menu (DTMF, IVR), are played out in `calls/`.
"""

from agentphone_mcp.sandbox.app import Sandbox, running
from agentphone_mcp.sandbox.data.models import RecordedRequest
from agentphone_mcp.sandbox.data.persistence import StateFileError
from agentphone_mcp.sandbox.http.faults import BadFaultError, ConnectionDroppedError, Fault

__all__ = [
    "BadFaultError",
    "ConnectionDroppedError",
    "Fault",
    "RecordedRequest",
    "Sandbox",
    "StateFileError",
    "running",
]

"""Say what of an agent's own settings a call uses: what nobody gave in this call is agreed to with it."""

from typing import Any

from agentphone_mcp.api.agents import Agent
from agentphone_mcp.features.presentation.quoting import Quote

_LONGEST = 100
"""How much of the agent's own texts the model gets; get_agent shows all."""


def own_texts(agent: Agent, quote: Quote, *, prompt: bool, begin_message: bool, is_answered_by_machines: bool) -> str:
    """Quote its own prompt and first words, if they are used, and what else it may say and whom it may reach."""
    parts: list[str] = []
    if prompt and agent.system_prompt:
        parts.append(f"its own prompt: {quote(agent.system_prompt, _LONGEST)}")
    if begin_message and agent.begin_message:
        parts.append(f"it begins with {quote(agent.begin_message, _LONGEST)}")
    if is_answered_by_machines and agent.voicemail_message:
        parts.append(f"to an answering machine it says {quote(agent.voicemail_message, _LONGEST)}")
    if agent.transfer_number:
        parts.append(f"it may hand over to {quote(agent.transfer_number, _LONGEST)}")
    return "".join(f"; {part}" for part in parts)


def settings_of(agent: Agent) -> dict[str, Any]:
    """Return all that the API uses of an agent in a call, to notice when it changes."""
    return agent.model_dump(mode="json", exclude={"created_at", "description", "numbers"})

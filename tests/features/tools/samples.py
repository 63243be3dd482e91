"""Arguments with which a tool can be called, made from its schema, so that a new tool needs no row in a table."""

from typing import Any

from agentphone_mcp.features.tools.declaration import Declared

SAMPLES: dict[str, Any] = {
    "agent_id": "agt_frontdesk",
    "number_id": "num_frontdesk",
    "call_id": "call_past01",
    "conversation_id": "conv_past01",
    "contact_id": "con_ada",
    "to_number": "+14155559999",
    "url": "https://example.com/hook",
    "metadata": {},
}
"""Values that the sandbox knows, by the name of the parameter."""


def sample_arguments(tool: Declared) -> dict[str, Any]:
    """Make the arguments that a tool requires; ids are those of the sandbox's first account."""
    return {name: SAMPLES.get(name, "Hi") for name in tool.tool.parameters.get("required", ())}


def id_parameters(tool: Declared) -> list[str]:
    """Name a tool's parameters that take an id of the API."""
    return [name for name in tool.tool.parameters["properties"] if name.endswith("_id") and name != "external_id"]

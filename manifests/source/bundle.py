"""Generate manifest.json of the bundle: what Claude Desktop shows, asks for, and starts."""

import json
from typing import Any

from agentphone_mcp.variables import KEY_VARIABLE, TOOLSETS
from manifests.source.project import DESCRIPTION, NAME, PROJECT, ROOT, TITLE, VERSION

_AUTHOR = "The agentphone-mcp developers"
_LONG_DESCRIPTION = (
    "Run phone agents, buy numbers, place calls, follow them as they are spoken, and text, over the AgentPhone API. "
    "It spends real money and calls real people: tools that cost or destroy first say what would happen and wait for "
    "confirmation. Practice mode needs no account and costs nothing."
)
# Each has a default: Claude Desktop passes the name of a field without one on as its value.
_FORM: dict[str, tuple[str, dict[str, Any]]] = {
    "api_key": (
        KEY_VARIABLE,
        {
            "type": "string",
            "title": "AgentPhone API key",
            "description": "The key of your account; leave it empty after `uvx agentphone-mcp login`, or to practise.",
            "sensitive": True,
            "default": "",
        },
    ),
    "sandbox": (
        "AGENTPHONE_SANDBOX",
        {
            "type": "boolean",
            "title": "Practise",
            "description": "Use a make-believe AgentPhone on this machine: no account, no key, no money.",
            "default": False,
        },
    ),
    "read_only": (
        "AGENTPHONE_READ_ONLY",
        {
            "type": "boolean",
            "title": "Only look",
            "description": "Leave only the tools that change nothing.",
            "default": False,
        },
    ),
    "toolsets": (
        "AGENTPHONE_TOOLSETS",
        {
            "type": "string",
            "title": "Toolsets",
            "description": f"all, or some of these with commas between them: {', '.join(TOOLSETS)}.",
            "default": "all",
        },
    ),
    "approval": (
        "AGENTPHONE_APPROVAL",
        {
            "type": "string",
            "title": "Whose yes is needed",
            "description": "confirm: the assistant's, after asking you; human: Claude asks you itself, where it can.",
            "default": "confirm",
        },
    ),
}


def bundle() -> dict[str, Any]:
    """Generate the whole manifest, as `mcpb validate` accepts it."""
    tools = json.loads((ROOT / "tests" / "golden" / "tools.json").read_text(encoding="utf-8"))
    return {
        "manifest_version": "0.4",
        "name": NAME,
        "display_name": TITLE,
        "version": VERSION,
        "description": DESCRIPTION,
        "long_description": _LONG_DESCRIPTION,
        "author": {"name": _AUTHOR},
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": "agentphone_mcp/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", NAME],
                "env": {variable: f"${{user_config.{field}}}" for field, (variable, _) in _FORM.items()},
            },
        },
        "tools": [{"name": tool["name"], "description": tool["description"]} for tool in tools],
        "prompts_generated": True,
        "keywords": PROJECT["keywords"],
        "license": PROJECT["license"],
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": PROJECT["requires-python"]},
        },
        "user_config": {field: asked for field, (_, asked) in _FORM.items()},
    }

"""What the server reads from its environment, as the registry describes it: derived from the command's options."""

from typing import Any

import click

from agentphone_mcp.commands.main import main
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

NOT_OPTIONS = {
    KEY_VARIABLE: "The key of your AgentPhone account; not needed with AGENTPHONE_SANDBOX.",
    KEY_FILE_VARIABLE: f"The path of a file that holds the key, instead of {KEY_VARIABLE}.",
    "AGENTPHONE_HTTP_STATE_KEY": "What all servers behind one address seal their questions with: openssl rand -hex 32.",
    "AGENTPHONE_HTTP_STATE_KEY_FILE": "The path of a file that holds it, instead of AGENTPHONE_HTTP_STATE_KEY.",
}
"""Variables without an option, as command lines can be read by others."""
# A PostgreSQL URL may hold a password.
_SECRETS = {KEY_VARIABLE, "AGENTPHONE_HTTP_STATE_KEY", "AGENTPHONE_STATE"}
TRANSPORT = "AGENTPHONE_TRANSPORT"
_OVER_HTTP = ("AGENTPHONE_HOST", "AGENTPHONE_PORT", "AGENTPHONE_HTTP_")


def variables() -> list[dict[str, Any]]:
    """All of them but the transport, in the shape that server.json has for them; secrets first."""
    secrets = [_described(name, help_) for name, help_ in NOT_OPTIONS.items()]
    options = [option for option in main.params if isinstance(option, click.Option) and option.envvar]
    return secrets + [_of_option(option) for option in options if option.envvar != TRANSPORT]


def transport() -> dict[str, Any]:
    """Describe the variable that chooses the transport, as `variables` does the others."""
    return next(
        _of_option(option) for option in main.params if isinstance(option, click.Option) and option.envvar == TRANSPORT
    )


def is_over_http(name: str) -> bool:
    """Say whether a variable means something only to a server that is reached over HTTP."""
    return name.startswith(_OVER_HTTP)


def _of_option(option: click.Option) -> dict[str, Any]:
    described = _described(str(option.envvar), option.help or "")
    if option.is_flag:
        return described | {"format": "boolean", "default": "true" if option.default is True else "false"}
    if isinstance(option.type, click.IntRange | click.FloatRange):
        described["format"] = "number"
    if isinstance(option.default, str | int | float) and option.default != "":
        described["default"] = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
    if isinstance(option.type, click.Choice):
        described["choices"] = list(option.type.choices)
    return described


def _described(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "isRequired": False,
        "isSecret": name in _SECRETS,
        "format": "filepath" if name.endswith("_FILE") else "string",
    }

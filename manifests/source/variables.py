"""What the server reads from its environment, as the registry describes it: derived from the settings' declaration."""

from typing import Any

from agentphone_mcp.config.environment import WITHOUT_OPTION
from agentphone_mcp.config.from_options import SETTINGS
from agentphone_mcp.config.settings import Setting
from agentphone_mcp.variables import KEY_VARIABLE

# A PostgreSQL URL may hold a password.
_SECRETS = {KEY_VARIABLE, "AGENTPHONE_HTTP_STATE_KEY", "AGENTPHONE_STATE"}
TRANSPORT = "AGENTPHONE_TRANSPORT"
_OVER_HTTP = ("AGENTPHONE_HOST", "AGENTPHONE_PORT", "AGENTPHONE_HTTP_")


def variables() -> list[dict[str, Any]]:
    """List all of them but the transport, in the shape that server.json has for them; secrets first."""
    secrets = [_described(name, help_) for name, help_ in WITHOUT_OPTION.items()]
    return secrets + [_of_setting(setting) for setting in SETTINGS if setting.variable != TRANSPORT]


def transport() -> dict[str, Any]:
    """Describe the variable that chooses the transport, as `variables` does the others."""
    return next(_of_setting(setting) for setting in SETTINGS if setting.variable == TRANSPORT)


def is_over_http(name: str) -> bool:
    """Say whether a variable means something only to a server that is reached over HTTP."""
    return name.startswith(_OVER_HTTP)


def _of_setting(setting: Setting) -> dict[str, Any]:
    described = _described(setting.variable, setting.help)
    if isinstance(setting.default, bool):
        return described | {"format": "boolean", "default": str(setting.default).lower()}
    if setting.bounds:
        described["format"] = "number"
    if setting.default not in (None, ""):
        described["default"] = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
    if setting.choices:
        described["choices"] = list(setting.choices)
    return described


def _described(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "isRequired": False,
        "isSecret": name in _SECRETS,
        "format": "filepath" if name.endswith("_FILE") else "string",
    }

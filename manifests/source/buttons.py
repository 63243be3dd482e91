"""Generate links that add the server to a host at a click."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode

from agentphone_mcp.commands.install.entries import Setup, build_entry, build_inputs
from agentphone_mcp.commands.install.hosts import HOSTS, SERVER_KEY

_AFTER_LOGIN = Setup(key="none")
"""Without a key, because Cursor passes on a reference to an unset variable as it is, which would hide the keychain."""
_CURSOR = "https://cursor.com/en/install-mcp"
_VSCODE = "https://insiders.vscode.dev/redirect/mcp/install"


def links() -> dict[str, str]:
    """Return the link of each host that supports such links, by the host's key."""
    cursor, vscode = HOSTS["cursor"], HOSTS["vscode"]
    encoded = b64encode(_compact(build_entry(cursor, _AFTER_LOGIN)).encode()).decode()
    asked, started = build_inputs(vscode, Setup()), build_entry(vscode, Setup())
    return {
        cursor.key: _link(_CURSOR, config=encoded),
        vscode.key: _link(_VSCODE, inputs=_compact(asked), config=_compact(started)),
    }


def _link(address: str, **told: str) -> str:
    return f"{address}?{urlencode({'name': SERVER_KEY} | told, quote_via=quote, safe='')}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

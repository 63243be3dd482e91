"""Cuts secrets out of what a report repeats of an entry and of its server: people paste reports where others read."""

import re
import shlex
import subprocess

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.host_entries import SECRET_NAME, Launch

_REMOVED = "[removed]"
_SHORTEST = 4
"""Characters of a secret; what is shorter is a switch such as `AUTH=1`, and stands in every text."""
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+\S{8,}", re.IGNORECASE)
_OPTION = r"--?[\w-]*(?:key|token|secret|password)"
_SECRET_OPTION = re.compile(_OPTION, re.IGNORECASE)
_SECRET_IN_OPTION = re.compile(rf"({_OPTION})=.+", re.IGNORECASE | re.DOTALL)


def redact(text: str) -> str:
    """A text without what looks like a key, a login in a URL, or credentials of a header."""
    return mask_keys(_CREDENTIALS.sub(rf"\1 {_REMOVED}", _LOGIN_IN_URL.sub("", text)))


def redact_secrets_of(launch: Launch, text: str) -> str:
    """A text without the values of the launch's variables that sound secret, either, the longest first."""
    held = {value for name, value in launch.environ.items() if SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    for value in sorted(held, key=len, reverse=True):
        text = text.replace(value, _REMOVED)
    return redact(text)


def command_line(launch: Launch, platform: str) -> str:
    """The command as a person would type it, on a system as in `sys.platform`, without its secrets."""
    given = (launch.command, *launch.arguments)
    words = [
        _REMOVED if _SECRET_OPTION.fullmatch(before) else redact_secrets_of(launch, _without_value(word))
        for before, word in zip(("", *given), given, strict=False)
    ]
    return subprocess.list2cmdline(words) if platform == "win32" else shlex.join(words)


def _without_value(word: str) -> str:
    option = _SECRET_IN_OPTION.fullmatch(word)
    return f"{option[1]}={_REMOVED}" if option else word

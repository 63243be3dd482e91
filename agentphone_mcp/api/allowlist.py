"""Decide where the key may be sent: AgentPhone's two hosts over https, or a sandbox on loopback.

`agentphone_mcp.api.auth` checks every request against it. No HTTP library is imported here, as the settings are checked
at every start and httpx is slow to import. Source: API.md, "Base".
"""

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken, mask_keys

if TYPE_CHECKING:
    import httpx


VENDOR_HOSTS = ("api.agentphone.to", "api.agentphone.ai")

DEFAULT_BASE_URL = f"https://{VENDOR_HOSTS[0]}"

API_ROOT = "/v1/"

SIGN_UP_ROOT = "/v0/agent/"
"""The path of sign-up, which is requested without a key."""

# httpx resolves a plain `..` itself; a server or proxy may resolve these.
_PATH_ESCAPES = (b"..", b"%2e", b"%2f", b"%5c", b"%25", b"\\")

_DEFAULT_PORTS = {"http": 80, "https": 443}

_ORIGIN = re.compile(r"((?i:https?))://((?i:[a-z0-9.-]+|\[[0-9a-f:.]+\]))(?::([0-9]*))?(?:/|/v1|/v1/)?")
"""An origin, optionally followed by the `/v1` that many people write."""


@dataclass(frozen=True)
class Allowlist:
    """Says where requests may be sent: the vendor's two hosts or one loopback origin, on paths below `root`.

    `host` is in lower case, an IPv6 address without brackets; `port` is None for the scheme's default.
    """

    scheme: str
    host: str
    port: int | None = None
    root: str = API_ROOT

    @classmethod
    def for_base(cls, base_url: str, key: ApiKey | None) -> "Allowlist":
        """Check a configured base URL and the key that would be sent there.

        Raises:
            KeyRuleBroken: if the URL is neither of the vendor's hosts over https on port 443, nor a loopback address
                whose key does not begin with `sk_live_`.
        """
        shown = mask_keys(key.redact_in(base_url) if key else base_url)
        scheme, host, port = _plain_origin(base_url, shown)
        if host in VENDOR_HOSTS and (scheme, port) == ("https", None):
            return cls(scheme, host)
        if not is_loopback(host):
            raise KeyRuleBroken(
                f"the base URL must be https on {' or '.join(VENDOR_HOSTS)}, or a loopback address: not {shown!r}"
            )
        if key is not None and key.is_live:
            raise KeyRuleBroken("a key that begins with sk_live_ goes to the vendor's hosts only, not to loopback")
        return cls(scheme, host, port)

    @classmethod
    def for_sign_up(cls, base_url: str) -> "Allowlist":
        """Check a base URL for sign-up as `for_base` does: requests carry no key, but a response holds a new one."""
        return replace(cls.for_base(base_url, None), root=SIGN_UP_ROOT)

    @property
    def base(self) -> str:
        """Return the base URL: an origin and a slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}/"

    @property
    def is_local(self) -> bool:
        """Return whether this is a sandbox on this machine and not the vendor."""
        return self.host not in VENDOR_HOSTS

    def admits(self, url: "httpx.URL") -> bool:
        """Return whether a request may be sent to this URL."""
        path = url.raw_path.partition(b"?")[0]
        escapes = any(escape in path.lower() for escape in _PATH_ESCAPES)
        if url.userinfo or escapes or not path.startswith(self.root.encode()):
            return False
        # The host as it is sent: httpx's `host` decodes punycode, and fails on malformed punycode.
        host = url.raw_host.decode("ascii")
        if self.is_local:
            return (url.scheme, host, url.port) == (self.scheme, self.host, self.port)
        return url.scheme == "https" and host in VENDOR_HOSTS and url.port in (None, 443)


def is_loopback(host: str) -> bool:
    """Return whether a host, given as a name or an address, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain_origin(base_url: str, shown: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL that is only an origin; refuse anything a parser could misread."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as exc:
        raise KeyRuleBroken(f"the base URL {shown!r} cannot be read") from exc
    # urllib and the pattern must agree on an ASCII URL that is only an origin.
    match = _ORIGIN.fullmatch(base_url) if base_url.isascii() else None
    if (
        not match
        or (parts.scheme, parts.hostname) != (match[1].lower(), match[2].lower().strip("[]"))
        or port != (int(match[3]) if match[3] else None)
    ):
        raise KeyRuleBroken(f"the base URL must be only https and a host: not {shown!r}")
    return parts.scheme, parts.hostname or "", None if port == _DEFAULT_PORTS[parts.scheme] else port

"""The key, and the only places where it may go.

The rule stands in an HTTP transport, the last thing a request passes on its way out: whatever a caller, a redirect,
a base URL or a client option asks for, a request that breaks it is not sent at all. Source: API.md, "Base".
"""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from agentphone_mcp.api.answers import is_list, is_object
from agentphone_mcp.api.tracing import TRACE_HEADERS, put_traceparent, uninstrumented

VENDOR_HOSTS = ("api.agentphone.to", "api.agentphone.ai")
DEFAULT_BASE_URL = f"https://{VENDOR_HOSTS[0]}"
API_ROOT = "/v1/"
SIGN_UP_ROOT = "/v0/agent/"
"""What is asked without a key, by whoever has none yet."""
REDIRECT = "agentphone.redirect"
"""Where a response's extensions hold the Location that `KeyedTransport` took from it."""
KEY_REMOVED = "[key removed]"
# httpx resolves a plain `..` itself; these would be resolved by some server on the way.
_PATH_TRICKS = (b"..", b"%2e", b"%2f", b"%5c", b"%25", b"\\")
_LONG_ENOUGH_TO_SHOW = 16


class KeyRuleBroken(ValueError):
    """A base URL or a key that the allowlist does not admit; the message is one sentence without the key."""


class ApiKey:
    """A key that cannot be shown: its repr ends in the last four characters, and it cuts itself out of texts."""

    def __init__(self, value: str) -> None:
        value = value.strip()
        if value.startswith(("$", "%", "{", "<")) or value.endswith(("...", "…")):
            raise KeyRuleBroken("the key is a placeholder that was not filled in")
        if not re.fullmatch(r"[!#-&(-~]{8,512}", value):
            raise KeyRuleBroken("the key is not 8 to 512 printable ASCII characters without spaces and quotes")
        self._value = value

    @property
    def is_live(self) -> bool:
        """Whether the key opens a real account (`sk_live_…`)."""
        return self._value.casefold().startswith("sk_live_")

    @property
    def last_four(self) -> str:
        """The last four characters, which a person may be shown to tell two keys apart; none of a short key."""
        return self._value[-4:] if len(self._value) >= _LONG_ENOUGH_TO_SHOW else ""

    def account(self, sub_account: str | None = None) -> str:
        """Tell one account from another without the key: a hash from which it cannot be had."""
        return hashlib.sha256(f"agentphone-mcp {self._value} {sub_account or ''}".encode()).hexdigest()[:16]

    def header(self) -> str:
        """The value of the Authorization header; the one way to the key's text."""
        return f"Bearer {self._value}"

    def cut_from(self, text: str) -> str:
        """Remove the key from a text, wherever it stands."""
        return text.replace(self._value, KEY_REMOVED)

    def cut_from_bytes(self, body: bytes) -> bytes:
        """Remove the key from the raw body of an answer, before anything reads it."""
        return body.replace(self._value.encode(), KEY_REMOVED.encode())

    def cut_from_json(self, value: Any) -> Any:
        """Remove the key from every text in parsed JSON; escapes such as `\\u0073` hide it from `cut_from_bytes`."""
        if isinstance(value, str):
            return self.cut_from(value)
        if is_list(value):
            return [self.cut_from_json(item) for item in value]
        if is_object(value):
            return {self.cut_from(name): self.cut_from_json(item) for name, item in value.items()}
        return value

    def __repr__(self) -> str:
        return f"ApiKey(…{self.last_four})"

    __str__ = __repr__


@dataclass(frozen=True)
class Allowlist:
    """Where requests of one server may go: the vendor's two hosts, or one loopback origin, and there below `root`."""

    base: httpx.URL
    root: str = API_ROOT

    @classmethod
    def for_base(cls, base_url: str, key: ApiKey | None) -> "Allowlist":
        """Check a configured base URL and the key that would go with it.

        Raises:
            KeyRuleBroken: if the URL is neither of the vendor's hosts over https on port 443, nor a loopback address
                whose key does not begin with `sk_live_`.
        """
        shown = mask_keys(key.cut_from(base_url) if key else base_url)
        url = _plain_origin(base_url, shown)
        if _host(url) in VENDOR_HOSTS and url.scheme == "https" and url.port in (None, 443):
            return cls(url.copy_with(port=None))
        if not is_loopback(_host(url)):
            raise KeyRuleBroken(
                f"the base URL must be https on {' or '.join(VENDOR_HOSTS)}, or a loopback address: not {shown!r}"
            )
        if key is not None and key.is_live:
            raise KeyRuleBroken("a key that begins with sk_live_ goes to the vendor's hosts only, not to loopback")
        return cls(url)

    @classmethod
    def for_sign_up(cls, base_url: str) -> "Allowlist":
        """Check a configured base URL for requests without a key, which may go to sign-up alone.

        Raises:
            KeyRuleBroken: as for requests with one: the answer brings a key.
        """
        return replace(cls.for_base(base_url, None), root=SIGN_UP_ROOT)

    @property
    def is_local(self) -> bool:
        """Whether this is a sandbox on this machine and not the vendor."""
        return _host(self.base) not in VENDOR_HOSTS

    def admits(self, url: httpx.URL) -> bool:
        """Whether a request may be sent to this URL."""
        path = url.raw_path.partition(b"?")[0]
        tricked = any(trick in path.lower() for trick in _PATH_TRICKS)
        if url.userinfo or tricked or not path.startswith(self.root.encode()):
            return False
        if self.is_local:
            return (url.scheme, _host(url), url.port) == (self.base.scheme, _host(self.base), self.base.port)
        return url.scheme == "https" and _host(url) in VENDOR_HOSTS and url.port in (None, 443)


class KeyedTransport(httpx.AsyncBaseTransport):
    """Puts the key on admitted requests at the very last moment, and refuses to send any other.

    The header is set on a copy, so that the request in an exception, a log line or a redirect never holds the key.
    What tells of the user's own systems, trace ids and baggage, is taken off here for the same reason.

    Args:
        inner: what really sends.
        key: put on each request; with None, which is for signing up, no credentials go along at all.
        allowlist: where requests may go.
        send_traceparent: tell the vendor, and not only a sandbox, which trace a request belongs to.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        key: ApiKey | None,
        allowlist: Allowlist,
        *,
        send_traceparent: bool = False,
    ) -> None:
        self._inner = inner
        self._key = key
        self._allowlist = allowlist
        self._tells_traceparent = send_traceparent or allowlist.is_local

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send an admitted request.

        Raises:
            httpx.UnsupportedProtocol: if the allowlist does not admit the URL; nothing was sent.
        """
        if not self._allowlist.admits(request.url):
            raise httpx.UnsupportedProtocol("the key's allowlist does not admit this address", request=request)
        headers = httpx.Headers(request.headers)
        headers.pop("Authorization", None)
        if self._key is not None:
            headers["Authorization"] = self._key.header()
        # A front end that many sites share goes by the Host header, so it is the admitted URL's and no caller's.
        headers["Host"] = request.url.netloc.decode("ascii")
        for name in TRACE_HEADERS:
            headers.pop(name, None)
        if self._tells_traceparent:
            put_traceparent(headers)
        # Of the extensions only the time-outs: another could name the host that TLS is to check.
        timeouts = {"timeout": request.extensions["timeout"]} if "timeout" in request.extensions else {}
        keyed = httpx.Request(request.method, request.url, headers=headers, stream=request.stream, extensions=timeouts)
        with uninstrumented():
            response = await self._inner.handle_async_request(keyed)
        response.headers.pop("Set-Cookie", None)
        if 300 <= response.status_code < 400:
            # Hidden from httpx, which would follow it by rules of its own, or stumble over a broken one.
            response.extensions[REDIRECT] = response.headers.pop("Location", None)
        return response

    async def aclose(self) -> None:
        """Close the connections below."""
        await self._inner.aclose()


def mask_keys(text: str) -> str:
    """Remove whatever looks like a key from a text, also one that is not the configured one."""
    return re.sub(r"\bsk_[a-z]+_[\w-]+", KEY_REMOVED, text, flags=re.IGNORECASE)


def proxy_for(allowlist: Allowlist, proxies: Mapping[str, str] | None = None) -> str | None:
    """Say which HTTP proxy the system names for the API, if any; never one for loopback.

    Behind a proxy the connection is still TLS from here to the vendor (CONNECT), so the key stays closed to it.
    SOCKS proxies are left alone: httpx needs an extra package for them.
    """
    if allowlist.is_local or proxy_bypass(_host(allowlist.base)):
        return None
    proxy = (getproxies() if proxies is None else proxies).get("https", "")
    if proxy and "://" not in proxy:
        return f"http://{proxy}"
    return proxy if proxy.startswith(("http://", "https://")) else None


def is_loopback(host: str) -> bool:
    """Whether a host, by its name or its address, is this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: httpx.URL) -> str:
    """The host as it goes over the wire; httpx's `host` decodes punycode, and fails on what is none."""
    return url.raw_host.decode("ascii")


def _plain_origin(base_url: str, shown: str) -> httpx.URL:
    """Read scheme, host and port, and nothing else: what could mislead a reader or a parser is refused."""
    try:
        parts = urlsplit(base_url)
        url = httpx.URL(base_url)
        port = parts.port
    except (ValueError, httpx.InvalidURL) as broken:
        raise KeyRuleBroken(f"the base URL {shown!r} cannot be read") from broken
    # Two parsers must agree on an ASCII URL that is an origin and nothing more.
    plain = base_url.isascii() and not re.search(r"[\s\\@%]", base_url) and parts.path in ("", "/", "/v1", "/v1/")
    if not plain or parts.query or parts.fragment or "?" in base_url or "#" in base_url:
        raise KeyRuleBroken(f"the base URL must be only https and a host: not {shown!r}")
    # httpx drops a scheme's default port.
    same_port = url.port == port or (parts.scheme, port) in (("https", 443), ("http", 80))
    if parts.scheme not in ("http", "https") or parts.hostname != _host(url) or not same_port:
        raise KeyRuleBroken(f"the base URL must be only https and a host: not {shown!r}")
    return url.copy_with(path="/")

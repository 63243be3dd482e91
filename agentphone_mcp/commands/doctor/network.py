"""Check that the API can be reached by name, connection, TLS and proxy, and explain why not."""

import errno
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import httpx
from anyio import connect_tcp, fail_after

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.auth import proxy_for
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, warning

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 10.0
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_EXPIRED, _NOT_YET = 10, 9
_OF_ANOTHER = 62
_TRUST = (
    "If a company's proxy or a virus scanner opens TLS here, set SSL_CERT_FILE to a file with its certificate, here "
    "and in the entry of each host"
)


_OWN_CERTIFICATES = "{} says whose certificates are trusted, so a proxy that has one of those can read the key"
_READERS = {
    "SSL_CERT_FILE": _OWN_CERTIFICATES.format("SSL_CERT_FILE"),
    "SSL_CERT_DIR": _OWN_CERTIFICATES.format("SSL_CERT_DIR"),
    "SSLKEYLOGFILE": "SSLKEYLOGFILE has every connection's secrets written down, by which the key can be read",
}
"""The variables by which others than AgentPhone can read what is sent over TLS."""
_RIGHT = "That is right for a company that looks into its connections; anywhere else unset"


@dataclass(frozen=True)
class Cause:
    """Holds why a connection failed, in words that follow a host's name, and the remedy."""

    said: str
    remedy: str


def cause_of(error: BaseException, *, is_local: bool = False) -> Cause:
    """Explain a failed connection, to a sandbox if `is_local`, by the innermost error in its chain that is known."""
    for one in _below(error):
        if cause := _known(one, is_local=is_local):
            return cause
    return Cause("cannot be reached", "Check the network and try again; `--json` says no more than this")


def _known(error: BaseException, *, is_local: bool) -> Cause | None:  # noqa: PLR0911 - one row for each cause is the point of it
    match error:
        case ssl.SSLCertVerificationError():
            return _untrusted(error)
        case ssl.SSLError():
            said = "does not speak TLS, or something in between breaks it"
            return Cause(said, "Sign in to the network if it asks for that, and check the proxy and the base URL")
        case socket.gaierror():
            return Cause("is a name that does not resolve", "Check the network connection, the VPN and the DNS server")
        case ConnectionRefusedError() if is_local:
            return Cause(
                "refuses the connection: nothing listens there",
                "Start it with `agentphone-mcp sandbox --port PORT`, or unset AGENTPHONE_BASE_URL for the real one",
            )
        case ConnectionRefusedError():
            return Cause("refuses the connection", "Check the firewall, and HTTPS_PROXY if there is a proxy")
        case TimeoutError() | httpx.TimeoutException():
            return Cause(
                "does not answer in time",
                "Check the network; where only a proxy leads outside, set HTTPS_PROXY, here and in each host's entry",
            )
        case ConnectionResetError() | BrokenPipeError() | httpx.RemoteProtocolError():
            return Cause("closes the connection", "Try again; if it goes on, check the firewall and the proxy")
        case OSError(errno=number) if number in _NO_NETWORK:
            return Cause("cannot be reached: there is no network", "Connect this machine to the network")
        case httpx.ProxyError():
            said = f"is not let through by the proxy: {error}" if str(error) else "is not let through by the proxy"
            return Cause(said, "Check the address, name and password in HTTPS_PROXY, or except it with NO_PROXY")
        case _:
            return None


def _untrusted(error: ssl.SSLCertVerificationError) -> Cause:
    why = error.verify_message or "it cannot be verified"
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return Cause(f"shows a certificate that is not trusted: {why}", "Set this machine's clock and try again")
    if error.verify_code == _OF_ANOTHER:
        remedy = "Sign in to the network if it asks for that, and check what the name resolves to"
        return Cause(f"shows a certificate of another host: {why}", remedy)
    return Cause(f"shows a certificate that is not trusted: {why}", _TRUST)


def _below(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all its causes, innermost first, as the outer ones only repeat that it failed."""
    inner: list[BaseException | None] = [error.__cause__ or error.__context__]
    if isinstance(error, BaseExceptionGroup):
        inner += cast("BaseExceptionGroup[BaseException]", error).exceptions
    for one in inner:
        if one is not None:
            yield from _below(one)
    yield error


async def check_network(allowlist: Allowlist, environ: Mapping[str, str] | None = None) -> Finding:
    """Connect as the server does, to the API or to the proxy in front of it, and tell who could read the key there."""
    finding = await _connect(allowlist)
    readers = [] if allowlist.is_local else [name for name in _READERS if (environ or {}).get(name, "").strip()]
    if finding.status != "ok" or not readers:
        return finding
    names = " and ".join(readers)
    return warning(
        "network", f"{finding.said}; {' and '.join(_READERS[name] for name in readers)}", f"{_RIGHT} {names}"
    )


async def _connect(allowlist: Allowlist) -> Finding:
    base, proxy = httpx.URL(allowlist.base), proxy_for(allowlist)
    if proxy:
        finding = await reach(httpx.URL(proxy), is_proxy=True)
        if finding.status != "ok":
            return finding
        return ok("network", f"{_shown(base)} by way of the proxy {_shown(httpx.URL(proxy))}")
    return await reach(base, is_local=allowlist.is_local)


async def reach(
    url: httpx.URL, *, is_proxy: bool = False, is_local: bool = False, patience: float = _PATIENCE
) -> Finding:
    """Connect to a URL within `patience` seconds, with a TLS handshake for https, and send nothing.

    It is the API's, or that of the proxy in front of it, or of a sandbox on this machine.
    """
    host, port = url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
    is_secret = url.scheme == "https"
    try:
        with fail_after(patience):
            # Two calls, because the type of the stream depends on TLS.
            if is_secret:
                stream = await connect_tcp(
                    host, port, tls=True, ssl_context=httpx.create_ssl_context(), tls_standard_compatible=False
                )
            else:
                stream = await connect_tcp(host, port)
            await stream.aclose()
    except OSError as exc:
        cause = cause_of(exc, is_local=is_local)
        if not is_proxy:
            return failure("network", f"{_shown(url)} {cause.said}", cause.remedy)
        remedy = f"{cause.remedy}; the proxy is named by HTTPS_PROXY or the system's settings"
        return failure("network", f"the proxy {_shown(url)} {cause.said}", remedy)
    return ok("network", f"{_shown(url)} takes connections{' and its certificate is trusted' if is_secret else ''}")


def _shown(url: httpx.URL) -> str:
    """Return the host and port of a URL, without the user name and password of a proxy."""
    host = url.raw_host.decode("ascii")
    return host if url.port is None else f"{host}:{url.port}"

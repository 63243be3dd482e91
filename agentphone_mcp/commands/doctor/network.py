"""Check that the API can be reached: the name, the connection, TLS and the proxy."""

import httpx
from anyio import connect_tcp, fail_after

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.auth import proxy_for
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok
from agentphone_mcp.commands.doctor.network_errors import cause_of

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 10.0


async def check_network(allowlist: Allowlist) -> Finding:
    """Connect as the server does: to the API, or to the proxy in front of it."""
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
    """Connect to a URL with a TLS handshake for https, and send nothing.

    Args:
        url: the scheme, host and port.
        is_proxy: whether it is the proxy in front of the API.
        is_local: whether it is a sandbox on this machine.
        patience: the time limit, in seconds.
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
        which = f"the proxy {_shown(url)}" if is_proxy else _shown(url)
        remedy = (
            f"{cause.remedy}; the proxy is named by HTTPS_PROXY or the system's settings" if is_proxy else cause.remedy
        )
        return failure("network", f"{which} {cause.said}", remedy)
    return ok("network", f"{_shown(url)} takes connections{' and its certificate is trusted' if is_secret else ''}")


def _shown(url: httpx.URL) -> str:
    """Return the host and port of a URL, without the user name and password of a proxy."""
    host = url.raw_host.decode("ascii")
    return host if url.port is None else f"{host}:{url.port}"

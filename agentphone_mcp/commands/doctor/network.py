"""Whether the API can be reached: the name, the connection, TLS and the proxy, each by itself."""

import httpx
from anyio import connect_tcp, fail_after

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.auth import proxy_for
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok
from agentphone_mcp.commands.doctor.network_errors import cause_of

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 10.0


async def check_network(allowlist: Allowlist) -> Finding:
    """Look whether a connection can be made as the server makes it: to the API, or to the proxy that leads there."""
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
    """Connect to a place and, for https, agree on TLS; nothing is sent.

    Args:
        url: its scheme, host and port.
        is_proxy: whether it leads to the API and is not the API itself.
        is_local: whether it is a sandbox.
        patience: seconds for all of it.
    """
    host, port = url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
    is_secret = url.scheme == "https"
    try:
        with fail_after(patience):
            # Two calls, as without TLS there is another kind of stream.
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
    """A host and its port; the name and the password of a proxy are nobody's business."""
    host = url.raw_host.decode("ascii")
    return host if url.port is None else f"{host}:{url.port}"

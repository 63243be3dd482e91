"""Declare the HTTP settings, and reject unsafe combinations."""

from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from agentphone_mcp.api.allowlist import is_loopback
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.settings import ConfigError, setting

HttpTransport = Literal["streamable-http", "sse"]
HttpAuth = Literal["none", "local", "token", "relay", "jwt"]
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def read_names(text: str) -> tuple[str, ...]:
    """Read comma-separated names; case means nothing in them."""
    return tuple(name.strip().lower().rstrip("/") for name in text.split(",") if name.strip())


@dataclass(frozen=True)
class HttpSettings:
    """Hold where a server listens, who may connect, and each caller's limits.

    Attributes:
        transport: `streamable-http` serves /mcp; `sse` serves /sse and /messages/ for old clients beside it.
    """

    transport: HttpTransport = "streamable-http"
    host: str = setting(
        "host",
        "127.0.0.1",
        "Where to listen; another address than loopback's needs --http-auth and --http-allowed-hosts.",
    )
    port: int = setting("port", 8000, "On which port; 0 takes any that is free.", bounds=(0, 65_535))
    auth: HttpAuth = setting(
        "http_auth",
        "none",
        "Who may connect: none: your own programs on this machine; bearers of the token that is made for it (local), "
        "of a named token, of their own AgentPhone key (relay), or of a JWT.",
        choices=get_args(HttpAuth),
    )
    tokens_file: str = setting(
        "http_tokens_file", "", "For token: what `agentphone-mcp token add` writes.", read=str.strip
    )
    jwt_issuer: str = setting("http_jwt_issuer", "", "For jwt: the authorization server.", read=str.strip)
    jwks_url: str = setting(
        "http_jwks_url", "", "For jwt: where its keys are, if its metadata does not say so.", read=str.strip
    )
    resource_url: str = setting(
        "http_resource_url",
        "",
        "For jwt: the address of /mcp as clients know it, which is the audience of their tokens.",
        read=str.strip,
    )
    allowed_hosts: tuple[str, ...] = setting(
        "http_allowed_hosts",
        "",
        "The names under which clients reach it, for example phone.example.com.",
        read=read_names,
    )
    allowed_origins: tuple[str, ...] = setting(
        "http_allowed_origins",
        "",
        "Web pages that may use it, for example https://chat.example.com.",
        read=read_names,
    )
    max_sessions: int = setting("http_max_sessions", 100, "How many sessions one caller may have.", bounds=(1, None))
    max_calls: int = setting(
        "http_max_calls", 100, "How many requests of one caller may be under way.", bounds=(1, None)
    )
    idle_timeout: float = setting(
        "http_idle_timeout", 1800, "Seconds after which a session that nobody uses ends.", bounds=(1, 86_400)
    )

    def __post_init__(self) -> None:
        self._check_names()
        self._check_auth()
        if not self.is_loopback and not self.allowed_hosts:
            raise ConfigError(
                f"AGENTPHONE_HTTP_ALLOWED_HOSTS: others can reach {self.host}, so name the hosts that clients ask for, "
                "such as phone.example.com"
            )

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def in_url(self) -> str:
        """Return the host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def known_hosts(self) -> list[str]:
        """Return the accepted values of the Host header; `:*` means any port."""
        return [form for name in (*self._local_names, *self.allowed_hosts) for form in (name, f"{name}:*")]

    @property
    def known_origins(self) -> list[str]:
        """Return the accepted values of the Origin header."""
        local = [f"http://{name}" for name in self._local_names]
        return [form for name in local for form in (name, f"{name}:*")] + list(self.allowed_origins)

    @property
    def _local_names(self) -> tuple[str, ...]:
        """Return every name of loopback on this machine."""
        return tuple(dict.fromkeys((*_LOOPBACK_NAMES, self.in_url))) if self.is_loopback else ()

    def _check_names(self) -> None:
        for name in self.allowed_hosts:
            if not name or any(mark in name for mark in "/*@ \\"):
                raise ConfigError(f"AGENTPHONE_HTTP_ALLOWED_HOSTS: {name!r} is no host, such as phone.example.com")
        for origin in self.allowed_origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}" or "*" in origin:
                raise ConfigError(
                    f"AGENTPHONE_HTTP_ALLOWED_ORIGINS: {origin!r} is no origin, such as https://chat.example.com"
                )

    def _check_auth(self) -> None:
        needed = {
            "token": {"AGENTPHONE_HTTP_TOKENS_FILE": self.tokens_file},
            "jwt": {"AGENTPHONE_HTTP_JWT_ISSUER": self.jwt_issuer, "AGENTPHONE_HTTP_RESOURCE_URL": self.resource_url},
        }
        optional = {"jwt": {"AGENTPHONE_HTTP_JWKS_URL": self.jwks_url}}
        for variable, value in needed.get(self.auth, {}).items():
            if not value:
                raise ConfigError(f"{variable} is not set, which AGENTPHONE_HTTP_AUTH={self.auth} needs")
        for auth in ("token", "jwt"):
            for variable, value in (needed[auth] | optional.get(auth, {})).items():
                # A setting without effect would look as if it kept strangers out.
                if value and auth != self.auth:
                    raise ConfigError(f"{variable} is set, but AGENTPHONE_HTTP_AUTH is {self.auth} and not {auth}")
        if self.auth in ("none", "local") and (not self.is_loopback or self.allowed_hosts):
            raise ConfigError(
                f"AGENTPHONE_HTTP_AUTH: everybody who can connect could spend your money, and {self.auth} is for this "
                "machine alone; set it to token, relay or jwt to be reached from elsewhere"
            )


def check_key(config: Config, settings: HttpSettings) -> None:
    """Refuse a server that would use the wrong key, or none.

    Raises:
        ConfigError: with the variable to change.
    """
    if settings.auth != "relay":
        if config.api_key is None and settings.auth not in ("none", "local"):
            raise ConfigError(f"AGENTPHONE_API_KEY is not set: with AGENTPHONE_HTTP_AUTH={settings.auth} it is used")
        return
    if config.api_key is not None:
        raise ConfigError(
            "AGENTPHONE_HTTP_AUTH=relay: each caller brings a key, so leave AGENTPHONE_API_KEY out, and "
            "AGENTPHONE_API_KEY_FILE"
        )
    if config.sub_account is not None:
        raise ConfigError("AGENTPHONE_HTTP_AUTH=relay: leave AGENTPHONE_SUB_ACCOUNT out, it is of one account")

"""The issuer's public keys: where they are, how long they are good, and how seldom the issuer is asked for them."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import httpx
import jwt
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, TypeAdapter, ValidationError

from agentphone_mcp.api.allowlist import is_loopback
from agentphone_mcp.config.settings import ConfigError

ALGORITHMS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""What a token may be signed with: the type of key and the curve that belong to it. Never a shared secret."""

_FRESH_SECONDS = 5 * 60
_PAUSE_SECONDS = 30
"""Between two fetches, whatever strangers write into their tokens."""
_GOOD_SECONDS = 24 * 3600
"""How long keys outlive the last time that the issuer was heard of."""
_FETCH_SECONDS = 10
_MOST_BYTES = 256 * 1024

# Otherwise a URL without a path gets a slash, which is another issuer.
_URL = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))

logger = logging.getLogger(__name__)


class _Unusable(Exception):
    """What the issuer answered cannot be used; the message is a few words for the operator."""


class _Metadata(BaseModel):
    """What an authorization server says of itself (RFC 8414 and OpenID Connect Discovery)."""

    issuer: str
    jwks_uri: str


class _Jwks(BaseModel):
    """Public keys as they are published (RFC 7517)."""

    keys: list[dict[str, Any]]


_Document = TypeVar("_Document", _Metadata, _Jwks)


def safe_url(text: str, name: str) -> AnyHttpUrl:
    """Read a URL where nobody in between can put words into the other's mouth; it is called `name` in errors.

    Raises:
        ConfigError: if it is neither https nor a loopback address, or holds a user or a fragment.
    """
    try:
        url = _URL.validate_python(text)
    except ValidationError:
        raise ConfigError(f"{name} is no URL") from None
    if url.scheme != "https" and not _is_here(url):
        raise ConfigError(f"{name} must be https; plain http is for loopback addresses only")
    if url.username is not None or url.password is not None or url.fragment is not None:
        raise ConfigError(f"{name} must have no user and no fragment")
    return url


def identifying_url(text: str, name: str) -> AnyHttpUrl:
    """Read a URL that others compare letter by letter, so there must be one way to spell it.

    Raises:
        ConfigError: as for `safe_url`, or if it has a query or an unusual spelling.
    """
    url = safe_url(text, name)
    if url.query is not None or str(url) != text:
        raise ConfigError(f"{name} must be spelled plainly: a lowercase host, no default port, no query")
    return url


class KeySet:
    """The keys of one issuer, fetched when they are needed and kept for as long as they may be trusted.

    Args:
        issuer: whose keys they are; its metadata says where they are unless `jwks_url` does.
        jwks_url: where they are.
        inner: what really sends; the network if None.
        clock: seconds that only grow.

    Raises:
        ConfigError: if one of the URLs is not safe.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        inner: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._issuer_url = identifying_url(issuer, "AGENTPHONE_HTTP_JWT_ISSUER")
        self._jwks_url = None if jwks_url is None else safe_url(jwks_url, "AGENTPHONE_HTTP_JWKS_URL")
        self._inner = inner
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._fetched_at = self._tried_at = -math.inf
        self._failure: str | None = None
        self._fetching = anyio.Lock()

    @property
    def is_good(self) -> bool:
        """Whether there are keys that were heard of within a day."""
        return bool(self._keys) and self._clock() - self._fetched_at < _GOOD_SECONDS

    async def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Find the key that a token names, for one of `ALGORITHMS`; None if there is none that fits.

        Raises:
            jwt.PyJWTError: if the issuer published something that is no key.
        """
        await self._refresh(kid)
        if not self.is_good:
            return None
        fitting = (key for key in self._keys if key.get("kid") == kid and _fits(key, algorithm))
        return next((jwt.PyJWK(key, algorithm) for key in fitting), None)

    async def unavailable_reason(self) -> str | None:
        """Why there are no good keys, after trying to have some; None if there are."""
        await self._refresh()
        return None if self.is_good else f"the issuer's keys cannot be had: {self._failure or 'it publishes none'}"

    async def _refresh(self, kid: str | None = None) -> None:
        if not self._is_due(kid) or (self._fetching.locked() and self.is_good and self._knows(kid)):
            return
        async with self._fetching:
            # Whoever had to wait finds what the one before has fetched.
            if self._is_due(kid):
                await self._fetch()

    def _is_due(self, kid: str | None) -> bool:
        now = self._clock()
        is_wanted = now - self._fetched_at >= _FRESH_SECONDS or not self._knows(kid)
        return is_wanted and now - self._tried_at >= _PAUSE_SECONDS

    def _knows(self, kid: str | None) -> bool:
        return kid is None or any(key.get("kid") == kid for key in self._keys)

    async def _fetch(self) -> None:
        try:
            # Shielded: a stranger who hangs up in the middle would make the next one ask the issuer again.
            with anyio.fail_after(_FETCH_SECONDS, shield=True):
                keys = (await self._get(await self._place(), _Jwks)).keys
        except TimeoutError:
            self._failed(f"no answer within {_FETCH_SECONDS} seconds")
        except _Unusable as unusable:
            self._failed(str(unusable))
        else:
            if self._failure is not None:
                logger.info("the issuer's keys were fetched again")
            self._keys, self._fetched_at, self._failure = keys, self._clock(), None
        finally:
            self._tried_at = self._clock()

    def _failed(self, why: str) -> None:
        if self._failure is None:
            logger.warning("the issuer's keys cannot be fetched: %s", why)
        self._failure = why

    async def _place(self) -> AnyHttpUrl:
        """Where the keys are, by setting or by what the issuer says of itself in one of the two usual places."""
        if self._jwks_url is not None:
            return self._jwks_url
        whole = self.issuer.removesuffix("/")
        path = (self._issuer_url.path or "").removesuffix("/")
        origin = whole.removesuffix(path)
        failures: list[str] = []
        for place in (
            f"{origin}/.well-known/oauth-authorization-server{path}",
            f"{whole}/.well-known/openid-configuration",
        ):
            try:
                metadata = await self._get(AnyHttpUrl(place), _Metadata)
                if metadata.issuer == self.issuer:
                    return safe_url(metadata.jwks_uri, "its jwks_uri")
                failures.append("its metadata is of another issuer")
            except (_Unusable, ConfigError) as failure:
                failures.append(str(failure))
        raise _Unusable(f"its metadata cannot be had ({'; '.join(failures)})")

    async def _get(self, url: AnyHttpUrl, kind: type[_Document]) -> _Document:
        """Fetch a document from exactly there, and no more of it than anybody needs."""
        try:
            async with (
                httpx.AsyncClient(
                    transport=self._inner,
                    timeout=_FETCH_SECONDS,
                    follow_redirects=False,
                    # No proxy stands between us and this machine.
                    trust_env=not _is_here(url),
                    headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                ) as client,
                client.stream("GET", str(url)) as answer,
            ):
                if answer.status_code != 200:
                    raise _Unusable(f"it answered {answer.status_code}")
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise _Unusable(f"it answered more than {_MOST_BYTES // 1024} KiB")
            return kind.model_validate_json(bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL) as failed:
            raise _Unusable(str(failed) or type(failed).__name__) from None
        except ValidationError:
            raise _Unusable("its answer is not what it should be") from None


def _is_here(url: AnyHttpUrl) -> bool:
    return is_loopback((url.host or "").strip("[]"))


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    """Whether a key is for signatures of this kind, and public."""
    kind, curve = ALGORITHMS[algorithm]
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in key
    )

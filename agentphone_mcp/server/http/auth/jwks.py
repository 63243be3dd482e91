"""Fetch and cache the public keys of a JWT issuer."""

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
"""Accepted signature algorithms, with the key type and curve of each. None uses a shared secret."""

_FRESH_SECONDS = 5 * 60
_PAUSE_SECONDS = 30
"""Least time between two fetches, also when tokens name unknown keys."""
_GOOD_SECONDS = 24 * 3600
"""How long keys stay valid after the last successful fetch."""
_FETCH_SECONDS = 10
_MOST_BYTES = 256 * 1024

# Without this, pydantic adds a slash to a URL without a path, which names another issuer.
_URL = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))

logger = logging.getLogger(__name__)


class _Unusable(Exception):
    """Raised when the issuer's answer cannot be used; the message is a few words for the operator."""


class _Metadata(BaseModel):
    """Parse the metadata of an authorization server (RFC 8414 and OpenID Connect Discovery)."""

    issuer: str
    jwks_uri: str


class _Jwks(BaseModel):
    """Parse a JWK Set (RFC 7517)."""

    keys: list[dict[str, Any]]


_Document = TypeVar("_Document", _Metadata, _Jwks)


def safe_url(text: str, name: str) -> AnyHttpUrl:
    """Parse a URL that must be https or on loopback; errors call it `name`.

    Raises:
        ConfigError: if it is neither, or has a user or a fragment.
    """
    try:
        url = _URL.validate_python(text)
    except ValidationError:
        raise ConfigError(f"{name} is no URL") from None
    if url.scheme != "https" and not _is_on_loopback(url):
        raise ConfigError(f"{name} must be https; plain http is for loopback addresses only")
    if url.username is not None or url.password is not None or url.fragment is not None:
        raise ConfigError(f"{name} must have no user and no fragment")
    return url


def identifying_url(text: str, name: str) -> AnyHttpUrl:
    """Parse a URL that clients compare as a string, so that it must have its normal spelling.

    Raises:
        ConfigError: as for `safe_url`, or if it has a query or another spelling.
    """
    url = safe_url(text, name)
    if url.query is not None or str(url) != text:
        raise ConfigError(f"{name} must be spelled plainly: a lowercase host, no default port, no query")
    return url


class KeySet:
    """Hold the keys of one issuer: fetch them on demand, refresh them, and drop them after a day without an answer.

    Args:
        issuer: the issuer's URL; its metadata names the JWKS URL unless `jwks_url` is given.
        transport: sends the requests; the network if None.
        clock: monotonic seconds.

    Raises:
        ConfigError: if one of the URLs is not safe.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._issuer_url = identifying_url(issuer, "AGENTPHONE_HTTP_JWT_ISSUER")
        self._jwks_url = None if jwks_url is None else safe_url(jwks_url, "AGENTPHONE_HTTP_JWKS_URL")
        self._transport = transport
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._fetched_at = self._tried_at = -math.inf
        self._failure: str | None = None
        self._fetching = anyio.Lock()

    @property
    def is_good(self) -> bool:
        """Return whether there are keys that were fetched within a day."""
        return bool(self._keys) and self._clock() - self._fetched_at < _GOOD_SECONDS

    async def find(self, kid: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that a token names, for one of `ALGORITHMS`; None if no key fits.

        Raises:
            jwt.PyJWTError: if the issuer published an invalid key.
        """
        await self._refresh(kid)
        if not self.is_good:
            return None
        fitting = (key for key in self._keys if key.get("kid") == kid and _fits(key, algorithm))
        return next((jwt.PyJWK(key, algorithm) for key in fitting), None)

    async def unavailable_reason(self) -> str | None:
        """Return why there are no keys, after trying to fetch them; None if there are."""
        await self._refresh()
        return None if self.is_good else f"the issuer's keys cannot be had: {self._failure or 'it publishes none'}"

    async def _refresh(self, kid: str | None = None) -> None:
        if not self._is_due(kid) or (self._fetching.locked() and self.is_good and self._has_key(kid)):
            return
        async with self._fetching:
            # Another request may have fetched them while this one waited for the lock.
            if self._is_due(kid):
                await self._fetch()

    def _is_due(self, kid: str | None) -> bool:
        now = self._clock()
        is_wanted = now - self._fetched_at >= _FRESH_SECONDS or not self._has_key(kid)
        return is_wanted and now - self._tried_at >= _PAUSE_SECONDS

    def _has_key(self, kid: str | None) -> bool:
        return kid is None or any(key.get("kid") == kid for key in self._keys)

    async def _fetch(self) -> None:
        try:
            # Shielded: a client that disconnects must not make the next request fetch again.
            with anyio.fail_after(_FETCH_SECONDS, shield=True):
                keys = (await self._get(await self._find_jwks_url(), _Jwks)).keys
        except TimeoutError:
            self._failed(f"no answer within {_FETCH_SECONDS} seconds")
        except _Unusable as exc:
            self._failed(str(exc))
        else:
            if self._failure is not None:
                logger.info("the issuer's keys were fetched again")
            self._keys, self._fetched_at, self._failure = keys, self._clock(), None
        finally:
            self._tried_at = self._clock()

    def _failed(self, reason: str) -> None:
        if self._failure is None:
            logger.warning("the issuer's keys cannot be fetched: %s", reason)
        self._failure = reason

    async def _find_jwks_url(self) -> AnyHttpUrl:
        """Return the JWKS URL from the settings, or from the issuer's metadata at one of its two standard paths."""
        if self._jwks_url is not None:
            return self._jwks_url
        whole = self.issuer.removesuffix("/")
        path = (self._issuer_url.path or "").removesuffix("/")
        origin = whole.removesuffix(path)
        failures: list[str] = []
        for metadata_url in (
            f"{origin}/.well-known/oauth-authorization-server{path}",
            f"{whole}/.well-known/openid-configuration",
        ):
            try:
                metadata = await self._get(AnyHttpUrl(metadata_url), _Metadata)
                if metadata.issuer == self.issuer:
                    return safe_url(metadata.jwks_uri, "its jwks_uri")
                failures.append("its metadata is of another issuer")
            except (_Unusable, ConfigError) as exc:
                failures.append(str(exc))
        raise _Unusable(f"its metadata cannot be had ({'; '.join(failures)})")

    async def _get(self, url: AnyHttpUrl, kind: type[_Document]) -> _Document:
        """Fetch a JSON document without following redirects, up to a bounded size."""
        try:
            async with (
                httpx.AsyncClient(
                    transport=self._transport,
                    timeout=_FETCH_SECONDS,
                    follow_redirects=False,
                    # Loopback is reached without the proxy of the environment.
                    trust_env=not _is_on_loopback(url),
                    headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                ) as client,
                client.stream("GET", str(url)) as response,
            ):
                if response.status_code != 200:
                    raise _Unusable(f"it answered {response.status_code}")
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise _Unusable(f"it answered more than {_MOST_BYTES // 1024} KiB")
            return kind.model_validate_json(bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise _Unusable(str(exc) or type(exc).__name__) from None
        except ValidationError:
            raise _Unusable("its answer is not what it should be") from None


def _is_on_loopback(url: AnyHttpUrl) -> bool:
    return is_loopback((url.host or "").strip("[]"))


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    """Return whether a key is public and may verify signatures of this algorithm."""
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

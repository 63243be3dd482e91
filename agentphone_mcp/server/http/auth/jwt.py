"""Authenticate callers by JWT access tokens of one issuer, as an OAuth 2.1 resource server.

Sources: RFC 9068 and RFC 8725 for the tokens, RFC 9728 for the metadata that tells clients where to get one.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote, urlsplit

import jwt
from mcp.server.auth.handlers.metadata import ProtectedResourceMetadataHandler
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.shared.auth import ProtectedResourceMetadata
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.routing import Route

from agentphone_mcp.policy.access import SCOPES, Caller
from agentphone_mcp.server.http.auth.base import NO_CONNECTION, InsufficientScope, bearer_of
from agentphone_mcp.server.http.auth.jwks import ALGORITHMS, KeySet, identifying_url
from agentphone_mcp.system.http.connection import Connection

_LONGEST_TOKEN = 16 * 1024
_LONGEST_NAME = 128
_ACCESS_TOKEN = "at+jwt"  # noqa: S105 - a media type
_CLAIMS_OF_OTHERS = frozenset(("nonce", "at_hash", "c_hash", "s_hash", "events"))
"""Claims of ID tokens, and of logout tokens and other security events."""
_LEEWAY_SECONDS = 30
"""How much the issuer's clock may differ from ours."""

logger = logging.getLogger(__name__)


class _Claims(BaseModel):
    """Parse the claims of a token, in the spellings of RFC 9068, OpenID Connect, Okta and Entra."""

    model_config = ConfigDict(strict=True)

    sub: Annotated[str, Field(min_length=1)]
    exp: float
    client_id: str | None = None
    azp: str | None = None
    scope: str | list[str] | None = None
    scp: str | list[str] | None = None

    @property
    def scopes(self) -> list[str]:
        """Return the scopes, from `scope` or `scp`, given as a string or a list."""
        given = self.scp if self.scope is None else self.scope
        return given if isinstance(given, list) else [scope for scope in (given or "").split(" ") if scope]


class JwtVerifier:
    """Verify access tokens as the SDK's `TokenVerifier`: issuer, times, signature, and this server's URL as `aud`."""

    def __init__(self, keys: KeySet, audience: str) -> None:
        self.keys = keys
        self._audience = audience

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the client, subject and scopes of a token; None if it is invalid for any reason."""
        try:
            return self._read(token, await self._key_for(token))
        except (jwt.PyJWTError, ValidationError) as exc:
            # Only the name of the error: its text may quote the token.
            logger.debug("an access token was refused: %s", type(exc).__name__)
            return None

    async def _key_for(self, token: str) -> jwt.PyJWK:
        """Choose the issuer's key by `kid` and `alg`; `jku`, `x5u` and `jwk` in the header are ignored."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            raise jwt.DecodeError
        header = jwt.get_unverified_header(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError
        # RFC 7515 demands that critical extensions are understood; this server supports none.
        if not isinstance(kid, str) or "crit" in header:
            raise jwt.InvalidTokenError
        if not _is_access_token(header.get("typ")):
            raise jwt.InvalidTokenError
        key = await self.keys.find(kid, algorithm)
        if key is None:
            raise jwt.InvalidKeyError
        return key

    def _read(self, token: str, key: jwt.PyJWK) -> AccessToken:
        decoded = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self.keys.issuer,
            audience=self._audience,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
        )
        if _is_of_another_kind(jwt.get_unverified_header(token).get("typ"), decoded):
            raise jwt.InvalidTokenError
        claims = _Claims.model_validate(decoded)
        return AccessToken(
            # A hash, so that a stored or logged AccessToken cannot be used.
            token=hashlib.sha256(token.encode()).hexdigest(),
            client_id=claims.client_id or claims.azp or claims.sub,
            scopes=claims.scopes,
            expires_at=int(claims.exp),
            resource=self._audience,
            subject=claims.sub,
            claims={"iss": self.keys.issuer},
        )


class JwtAuth:
    """Authenticate callers by an access token of the issuer, with the highest of its scopes.

    Args:
        resource_url: the URL at which clients reach this server, path included.
        clock: seconds since the epoch.

    Raises:
        ConfigError: if the URL is not safe.
    """

    def __init__(self, verifier: JwtVerifier, resource_url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._verifier = verifier
        self._resource = identifying_url(resource_url, "AGENTPHONE_HTTP_RESOURCE_URL")
        self._clock = clock
        metadata = f'resource_metadata="{build_resource_metadata_url(self._resource)}"'
        self.challenge = f'Bearer realm="agentphone-mcp", {metadata}'
        self.challenge_for_scope = (
            f'Bearer realm="agentphone-mcp", error="insufficient_scope", scope="{" ".join(SCOPES)}", {metadata}'
        )
        self.challenge_message = (
            f"Send a valid access token of {verifier.keys.issuer} for this server as Authorization: Bearer TOKEN."
        )

    async def authenticate(self, headers: Headers, connection: Connection = NO_CONNECTION) -> Caller | None:
        """Return the token's client and subject as a caller; None without a valid token.

        Raises:
            InsufficientScope: if the token has none of our scopes.
        """
        token = bearer_of(headers)
        access = await self._verifier.verify_token(token) if token else None
        if access is None:
            return None
        scope = max(set(SCOPES).intersection(access.scopes), key=SCOPES.index, default=None)
        if scope is None:
            raise InsufficientScope(
                f"The access token has none of the scopes {', '.join(SCOPES)}.", self.challenge_for_scope
            )
        return Caller(_name(access.client_id, access.subject or ""), scope, expires_at=access.expires_at)

    def is_still_valid(self, caller: Caller) -> bool:
        """Return whether the caller's token has not expired and the issuer's keys are still trusted."""
        is_unexpired = caller.expires_at is None or self._clock() < caller.expires_at + _LEEWAY_SECONDS
        return is_unexpired and self._verifier.keys.is_good

    async def unavailable_reason(self) -> str | None:
        """Return why no token can be verified, after trying to fetch the issuer's keys; None if they can."""
        return await self._verifier.keys.unavailable_reason()

    def routes(self) -> list[Route]:
        """Return the public route of the protected resource metadata, which names the issuer (RFC 9728)."""
        # Not the SDK's own route: that allows pages of any origin, and the operator names the allowed ones.
        metadata = ProtectedResourceMetadata(
            resource=self._resource,
            authorization_servers=[identifying_url(self._verifier.keys.issuer, "the issuer")],
            scopes_supported=list(SCOPES),
            resource_name="AgentPhone",
        )
        path = urlsplit(str(build_resource_metadata_url(self._resource))).path
        return [Route(path, ProtectedResourceMetadataHandler(metadata).handle, methods=["GET"])]


def _is_access_token(kind: object) -> bool:
    """Return whether the `typ` of a header allows for an access token; many issuers write JWT, or nothing."""
    return kind is None or (isinstance(kind, str) and _plain(kind) in (_ACCESS_TOKEN, "jwt"))


def _is_of_another_kind(kind: object, claims: dict[str, object]) -> bool:
    """Return whether the claims are those of an ID, refresh or logout token, where `typ` does not say what it is."""
    if isinstance(kind, str) and _plain(kind) == _ACCESS_TOKEN:
        return False
    if not _CLAIMS_OF_OTHERS.isdisjoint(claims):
        return True
    # Keycloak and Cognito say it in claims of their own.
    return claims.get("typ", "Bearer") != "Bearer" or claims.get("token_use", "access") != "access"


def _plain(kind: str) -> str:
    """Return a media type in lower case, without the prefix that may be left out (RFC 7515, 4.1.9)."""
    return kind.lower().removeprefix("application/")


def _name(client: str, subject: str) -> str:
    """Return a unique `client:subject` in printable ASCII, never the operator's name."""
    # Quoting removes colons and number signs from both parts, so that both stay unambiguous as separators.
    name = ":".join(quote(part, safe="@|+", errors="surrogatepass") for part in (client, subject))
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{name[: _LONGEST_NAME - len(digest) - 1]}#{digest}"

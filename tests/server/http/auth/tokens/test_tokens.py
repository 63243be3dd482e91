"""Authenticate callers by named bearer tokens, until they expire or are removed."""

import hashlib
import hmac
import logging
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.token_file import parse_tokens
from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth
from tests.server.http.auth.issuer import Clock
from tests.server.http.auth.tokens.tokens_file import (
    ALICE,
    BOB,
    CAROL,
    GOOD,
    authenticate,
    entry,
    sha256,
    unavailable_reason,
    write,
)
from tests.support import LIVE_KEY

INVALID_HEADERS = {
    "none": [],
    "empty": [""],
    "scheme-alone": ["Bearer"],
    "empty-token": ["Bearer "],
    "blank-token": ["Bearer   \t "],
    "token-alone": [ALICE],
    "another-scheme": [f"Basic {ALICE}"],
    "glued": [f"Bearer:{ALICE}"],
    "tab-for-space": [f"Bearer\t{ALICE}"],
    "several": [f"Bearer {ALICE}", f"Bearer {BOB}"],
    "same-twice": [f"Bearer {ALICE}", f"Bearer {ALICE}"],
    "listed": [f"Bearer {ALICE}, Bearer {BOB}"],
    "wrong": [f"Bearer {CAROL}"],
    "beginning": [f"Bearer {ALICE[:-1]}"],
    "longer": [f"Bearer {ALICE}x"],
    "another-case": [f"Bearer {ALICE.upper()}"],
    "quoted": [f'Bearer "{ALICE}"'],
    "its-hash": [f"Bearer {sha256(ALICE)}"],
    "its-name": ["Bearer alice"],
    "huge": [f"Bearer {ALICE * 50_000}"],
    "not-ascii": [f"Bearer {ALICE}é"],
    "not-utf-8": [b"Bearer \xff\xfe\x80"],
    "nul": [f"Bearer {ALICE}\0"],
    "control-characters": [f"Bearer {ALICE[:9]}\r\n\x1b[2J{ALICE[9:]}"],
}


def test_a_token_has_its_name_and_scope(auth: StaticTokenAuth) -> None:
    assert authenticate(auth, f"Bearer {ALICE}") == Caller("alice", "read", credential=sha256(ALICE))
    bob = authenticate(auth, f"bearer  {BOB} ")
    assert bob
    assert (bob.name, bob.scope, bob.key) == ("bob", "spend", None)
    assert bob.expires_at == datetime(2027, 2, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("values", INVALID_HEADERS.values(), ids=INVALID_HEADERS.keys())
def test_invalid_credentials_are_refused(auth: StaticTokenAuth, values: list[str | bytes]) -> None:
    assert authenticate(auth, *values) is None


@pytest.mark.parametrize(
    "values", [INVALID_HEADERS["none"], INVALID_HEADERS["empty-token"], INVALID_HEADERS["several"]], ids=str
)
def test_the_hash_of_an_empty_token_matches_nothing(path: Path, clock: Clock, values: list[str]) -> None:
    """An operator may have hashed an empty variable."""
    write(path, entry("nothing", ""))
    assert authenticate(StaticTokenAuth(path, clock=clock), *values) is None


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([f"Bearer {ALICE}"], id="first"),
        pytest.param([f"Bearer {BOB}"], id="last"),
        *INVALID_HEADERS.values(),
    ],
    ids=lambda values: str(values)[:40],
)
def test_every_token_is_compared_in_constant_time(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, values: list[str | bytes]
) -> None:
    tokens = [ALICE, CAROL, *(f"token {n}" for n in range(7)), BOB]
    write(path, "".join(entry(f"n{n}", token) for n, token in enumerate(tokens)))
    auth = StaticTokenAuth(path, clock=clock)
    compared: list[str | bytes] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        assert len(ours) == len(theirs) == 32
        return compare_digest(ours, theirs)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    authenticate(auth, *values)
    assert compared == [hashlib.sha256(token.encode()).digest() for token in tokens]


@pytest.mark.parametrize(
    ("expires", "last", "over"),
    [
        pytest.param("2026-11-30", "2026-11-30T23:59:59.999+00:00", "2026-12-01T00:00:00+00:00", id="day"),
        pytest.param("9999-12-31", "9999-12-31T23:59:59+00:00", None, id="last-day-of-all"),
        pytest.param("2026-11-30T10:00:00Z", "2026-11-30T09:59:59+00:00", "2026-11-30T10:00:00+00:00", id="utc"),
        pytest.param("2026-11-30 12:00:00+02:00", "2026-11-30T09:59:59+00:00", "2026-11-30T10:00:00+00:00", id="zone"),
    ],
)
def test_a_token_is_valid_until_it_expires(path: Path, clock: Clock, expires: str, last: str, over: str | None) -> None:
    write(path, entry("alice", ALICE, more=f"expires = {expires}") + entry("bob", BOB))
    auth = StaticTokenAuth(path, clock=clock)
    clock.now = datetime.fromisoformat(last).timestamp()
    caller = authenticate(auth, f"Bearer {ALICE}")
    assert caller
    assert auth.is_still_valid(caller)
    if over:
        clock.now = datetime.fromisoformat(over).timestamp()
        assert caller.expires_at == clock.now
        assert authenticate(auth, f"Bearer {ALICE}") is None
        assert not auth.is_still_valid(caller)
        assert unavailable_reason(auth) is None


def test_auth_is_unavailable_when_every_token_has_expired(path: Path, clock: Clock) -> None:
    write(path, entry("alice", ALICE, more="expires = 2026-11-20T13:00:00Z"))
    auth = StaticTokenAuth(path, clock=clock)
    assert unavailable_reason(auth) is None
    clock.now += 3_600
    assert unavailable_reason(auth) == "every token has expired"


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        pytest.param(entry("alice", ALICE, "read") + entry("carol", CAROL), True, id="others-changed"),
        pytest.param(entry("alice", ALICE, "read", "expires = 2030-01-01"), True, id="expires-later"),
        pytest.param(entry("alice", ALICE, "read", "expires = 2026-11-19"), False, id="expired-meanwhile"),
        pytest.param(entry("bob", BOB), False, id="removed"),
        pytest.param(entry("alice", ALICE, "spend"), False, id="another-scope"),
        pytest.param(entry("alice", CAROL, "read"), False, id="rotated"),
        pytest.param(entry("renamed", ALICE, "read"), False, id="renamed"),
        pytest.param("[tokens", False, id="broken"),
    ],
)
def test_a_stream_lasts_no_longer_than_its_token(
    auth: StaticTokenAuth, path: Path, clock: Clock, changed: str, kept: bool
) -> None:
    alice = authenticate(auth, f"Bearer {ALICE}")
    assert alice
    write(path, changed)
    clock.now += 1
    assert auth.is_still_valid(alice) is kept


def test_a_name_without_its_token_is_not_valid(auth: StaticTokenAuth) -> None:
    assert not auth.is_still_valid(Caller("alice", "read"))


def test_no_token_or_hash_is_logged_or_shown(
    auth: StaticTokenAuth, path: Path, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(auth), repr(authenticate(auth, f"Bearer {ALICE}")), repr(parse_tokens(path.read_text()))]
    for text in (f"[tokens.{BOB}]", f'[tokens.a]\nsha256 = "{BOB}"', f'{GOOD}{BOB} = "{sha256(ALICE)}', GOOD * 2, GOOD):
        write(path, text)
        clock.now += 1
        shown.append(str(unavailable_reason(auth)))
    for pasted in (BOB, LIVE_KEY):
        with pytest.raises(ConfigError) as refused:
            StaticTokenAuth(tmp_path / pasted)
        shown.append(str(refused.value))
    everything = "\n".join([*shown, caplog.text])
    assert "alice" in everything
    assert not re.search(rf"{ALICE}|{BOB}|[0-9a-f]{{32}}|sk_live_|\\x[0-9a-f]", everything)


def test_the_challenge_reveals_nothing_of_the_file(auth: StaticTokenAuth) -> None:
    assert auth.challenge == 'Bearer realm="agentphone-mcp"'
    assert auth.challenge_message == (
        "Send the header Authorization: Bearer TOKEN with a token of this server, which its operator makes with "
        "`agentphone-mcp token add`."
    )

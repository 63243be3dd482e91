"""Named bearer tokens: who is admitted, until when, and what happens while their file is broken."""

import asyncio
import hashlib
import hmac
import logging
import os
import re
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.token_file import TokensUnusable, parse_tokens
from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
ALICE, BOB, CAROL = (f"apmcp_{name}-{'x' * 36}" for name in ("alice", "bobby", "carol"))
_ticks = count(1)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def sha256(token: str) -> str:
    """How a token stands in the file."""
    return hashlib.sha256(token.encode()).hexdigest()


def entry(name: str, token: str, scope: str = "write", more: str = "") -> str:
    """One token's part of the file."""
    return f'[tokens.{name}]\nsha256 = "{sha256(token)}"\nscope = "{scope}"\n{more}\n'


def write(path: Path, text: str | bytes) -> None:
    """Change the file, a second after its last change by its own account."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    at = (int(NOON) + next(_ticks)) * 1_000_000_000
    os.utime(path, ns=(at, at))


def bearing(*values: str | bytes) -> Headers:
    """A request's headers with these values of Authorization."""
    return Headers(raw=[(b"authorization", value if isinstance(value, bytes) else value.encode()) for value in values])


def let_in(auth: StaticTokenAuth, *values: str | bytes) -> Caller | None:
    """Whom a request with these values of Authorization is from."""
    return asyncio.run(auth.authenticate(bearing(*values)))


def admitted(auth: StaticTokenAuth, token: str) -> str | None:
    """Under which name a token is admitted."""
    caller = let_in(auth, f"Bearer {token}")
    return caller and caller.name


def unavailable_reason(auth: StaticTokenAuth) -> str | None:
    """Why nobody can be admitted."""
    return asyncio.run(auth.unavailable_reason())


@pytest.fixture
def clock() -> Clock:
    """Noon, until the test moves it."""
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two tokens."""
    file = tmp_path / "tokens.toml"
    write(file, entry("alice", ALICE, "read") + entry("bob", BOB, "spend", "expires = 2027-01-31"))
    return file


@pytest.fixture
def auth(path: Path, clock: Clock) -> StaticTokenAuth:
    """The auth of that file."""
    return StaticTokenAuth(path, clock=clock)


def test_who_brings_a_token_has_its_name_and_scope(auth: StaticTokenAuth) -> None:
    """The rest of the server goes by these."""
    assert let_in(auth, f"Bearer {ALICE}") == Caller("alice", "read", credential=sha256(ALICE))
    bob = let_in(auth, f"bearer  {BOB} ")
    assert bob
    assert (bob.name, bob.scope, bob.key) == ("bob", "spend", None)
    assert bob.expires_at == datetime(2027, 2, 1, tzinfo=UTC).timestamp()


HOSTILE = {
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


@pytest.mark.parametrize("values", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_token_of_the_file_admits_nobody(auth: StaticTokenAuth, values: list[str | bytes]) -> None:
    """However odd it is, it is nobody's and no error."""
    assert let_in(auth, *values) is None


@pytest.mark.parametrize("values", [HOSTILE["none"], HOSTILE["empty-token"], HOSTILE["several"]], ids=str)
def test_the_hash_of_nothing_admits_nobody(path: Path, clock: Clock, values: list[str]) -> None:
    """An operator may have hashed an empty variable; who brings nothing is compared, and is not that token's owner."""
    write(path, entry("nothing", ""))
    assert let_in(StaticTokenAuth(path, clock=clock), *values) is None


@pytest.mark.parametrize(
    "values",
    [pytest.param([f"Bearer {ALICE}"], id="first"), pytest.param([f"Bearer {BOB}"], id="last"), *HOSTILE.values()],
    ids=lambda values: str(values)[:40],
)
def test_every_token_is_compared_whatever_was_brought(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, values: list[str | bytes]
) -> None:
    """In constant time and to the end, so that nobody learns from how long it took."""
    known = [ALICE, CAROL, *(f"token {n}" for n in range(7)), BOB]
    write(path, "".join(entry(f"n{n}", token) for n, token in enumerate(known)))
    auth = StaticTokenAuth(path, clock=clock)
    compared: list[str | bytes] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append(ours)
        assert len(ours) == len(theirs) == 32
        return compare_digest(ours, theirs)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    let_in(auth, *values)
    assert compared == [hashlib.sha256(token.encode()).digest() for token in known]


@pytest.mark.parametrize(
    ("expires", "last", "over"),
    [
        pytest.param("2026-11-30", "2026-11-30T23:59:59.999+00:00", "2026-12-01T00:00:00+00:00", id="day"),
        pytest.param("9999-12-31", "9999-12-31T23:59:59+00:00", None, id="last-day-of-all"),
        pytest.param("2026-11-30T10:00:00Z", "2026-11-30T09:59:59+00:00", "2026-11-30T10:00:00+00:00", id="utc"),
        pytest.param("2026-11-30 12:00:00+02:00", "2026-11-30T09:59:59+00:00", "2026-11-30T10:00:00+00:00", id="zone"),
    ],
)
def test_a_token_is_good_until_it_expires(path: Path, clock: Clock, expires: str, last: str, over: str | None) -> None:
    """A day lasts to its end in UTC; then the token is nobody's, also for streams that are open."""
    write(path, entry("alice", ALICE, more=f"expires = {expires}") + entry("bob", BOB))
    auth = StaticTokenAuth(path, clock=clock)
    clock.now = datetime.fromisoformat(last).timestamp()
    caller = let_in(auth, f"Bearer {ALICE}")
    assert caller
    assert auth.is_still_valid(caller)
    if over:
        clock.now = datetime.fromisoformat(over).timestamp()
        assert caller.expires_at == clock.now
        assert let_in(auth, f"Bearer {ALICE}") is None
        assert not auth.is_still_valid(caller)
        assert unavailable_reason(auth) is None


def test_a_server_whose_tokens_have_all_expired_says_so(path: Path, clock: Clock) -> None:
    """It looks well, and lets nobody in."""
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
    """Whoever takes a token away means at once, and not at the next connection."""
    alice = let_in(auth, f"Bearer {ALICE}")
    assert alice
    write(path, changed)
    clock.now += 1
    assert auth.is_still_valid(alice) is kept


def test_a_caller_of_another_door_is_not_admitted(auth: StaticTokenAuth) -> None:
    """A name alone is no token."""
    assert not auth.is_still_valid(Caller("alice", "read"))


def test_the_file_is_looked_at_once_a_second(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """A flood of requests is no flood of reads, and a change waits no longer than that."""
    write(path, entry("carol", CAROL))
    clock.now += 0.9
    assert (admitted(auth, ALICE), admitted(auth, CAROL)) == ("alice", None)
    clock.now += 0.2
    assert (admitted(auth, ALICE), admitted(auth, CAROL)) == (None, "carol")


def test_a_clock_that_is_set_back_delays_no_look(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """Otherwise a removed token would be good for as long as the clock went back."""
    write(path, entry("carol", CAROL))
    clock.now -= 7_200
    assert admitted(auth, ALICE) is None


def test_a_file_in_its_place_is_noticed_by_itself(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """It may be as long and as old as the one before."""
    other = path.with_name("other")
    write(other, entry("alicf", CAROL, "read") + entry("bob", BOB, "spend", "expires = 2027-01-31"))
    before = path.stat()
    os.utime(other, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert other.stat().st_size == before.st_size
    other.replace(path)
    clock.now += 1
    assert (admitted(auth, ALICE), admitted(auth, CAROL)) == (None, "alicf")


GOOD = entry("alice", ALICE)
HASH = f'sha256 = "{"a" * 64}"\n'
BROKEN: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "it holds no token"),
    "comment-alone": ("# later\n", "it holds no token"),
    "no-tokens": ("[tokens]\n", "it holds no token"),
    "not-utf-8": (GOOD.encode() + b"# \xff", "it is not a text file"),
    "binary": (b"\0" * 64, "line 1: it is not TOML, or says something twice"),
    "not-toml": (GOOD + "[tokens.bob\n", "line 5: it is not TOML, or says something twice"),
    "ends-too-early": (GOOD + '[tokens."bob', "it is not TOML, or says something twice"),
    "same-name-twice": (GOOD + GOOD, "line 5: it is not TOML, or says something twice"),
    "same-key-twice": (GOOD + 'scope = "read"\n', "line 5: it is not TOML, or says something twice"),
    "no-such-day": (entry("a", ALICE, more="expires = 2027-02-30"), "line 4: it is not TOML, or says something twice"),
    "endless-number": (GOOD + f"x = {'9' * 5_000}", "it is not TOML, or says something twice"),
    "deep": (f"x = {'[' * 50_000}", "it is not TOML, or says something twice"),
    "token-for-tokens": (GOOD.replace("tokens", "token"), "line 1: only [tokens.NAME] belongs in it"),
    "key-of-its-own": (f"realm = 1\n{GOOD}", "line 1: only [tokens.NAME] belongs in it"),
    "list-of-tokens": (GOOD.replace("[tokens.alice]", "[[tokens]]"), "line 1: [tokens.NAME] has to be a table"),
    "list-of-one": (GOOD.replace("[tokens.alice]", "[[tokens.alice]]"), "line 1: [tokens.NAME] has to be a table"),
    "text-for-a-token": (f'[tokens]\nbob = "{BOB}"', "line 2: [tokens.NAME] has to be a table"),
    "no-hash": (GOOD + '[tokens.bob]\nscope = "read"', "line 5: sha256 is missing"),
    "no-scope": (f"[tokens.bob]\n{HASH}", "line 1: scope is missing"),
    "unknown-key": (
        GOOD.replace("scope", "scopes"),
        "line 3: only sha256, scope and expires belong in a token; a name with a dot has quotes",
    ),
    "bare-dot": (
        GOOD + entry("ci.bot", BOB),
        "line 5: only sha256, scope and expires belong in a token; a name with a dot has quotes",
    ),
    "plain-token": (f'[tokens.bob]\nsha256 = "{BOB}"\nscope = "read"', "line 2: sha256 is not 64 hex digits"),
    "short-hash": (GOOD.replace(sha256(ALICE), sha256(ALICE)[1:]), "line 2: sha256 is not 64 hex digits"),
    "spaced-hash": (GOOD.replace(sha256(ALICE), " " + sha256(ALICE)[1:]), "line 2: sha256 is not 64 hex digits"),
    "hash-and-newline": (GOOD.replace(sha256(ALICE), sha256(ALICE) + "\\n"), "line 2: sha256 is not 64 hex digits"),
    "number-for-a-hash": ('[tokens.a]\nsha256 = 1\nscope = "read"', "line 2: sha256 is not 64 hex digits"),
    "unknown-scope": (entry("a", ALICE, "admin"), "line 3: scope is none of read, write, spend"),
    "another-case": (entry("a", ALICE, "Read"), "line 3: scope is none of read, write, spend"),
    "list-of-scopes": (f'[tokens.a]\n{HASH}scope = ["read"]', "line 3: scope is none of read, write, spend"),
    "text-for-a-day": (
        entry("a", ALICE, more='expires = "2027-01-31"'),
        "line 4: expires is neither a date nor a time with its offset, without quotes",
    ),
    "nobodys-time": (
        entry("a", ALICE, more="expires = 2027-01-31T10:00:00"),
        "line 4: expires is neither a date nor a time with its offset, without quotes",
    ),
    "number-for-a-day": (
        entry("a", ALICE, more="expires = 1801353600"),
        "line 4: expires is neither a date nor a time with its offset, without quotes",
    ),
    "same-hash-twice": (GOOD + entry("bob", ALICE), "line 6: another token has the same sha256"),
    "same-hash-in-capitals": (
        f'{GOOD}[tokens.bob]\nscope = "read"\nsha256 = "{sha256(ALICE).upper()}"',
        "line 7: another token has the same sha256",
    ),
    "in-one-line": (f'tokens = {{ a = {{ {HASH.strip()}, scope = "all" }}}}', "scope is none of read, write, spend"),
    "windows-lines": (entry("a", ALICE, "all").replace("\n", "\r\n"), "line 3: scope is none of read, write, spend"),
    **{
        f"name-{label}": (
            entry(f'"{name}"', ALICE),
            "line 1: a name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with apmcp_",
        )
        for label, name in {
            "empty": "",
            "long": "x" * 65,
            "spaced": "a b",
            "accented": "é",
            "newline": "a\\n",
            "escape": "\\u001b[2J",
            "token": BOB,
        }.items()
    },
    "too-large": (GOOD + "#" * 250_000, "it is too large"),
}
EVERY = pytest.mark.parametrize(("text", "why"), BROKEN.values(), ids=BROKEN.keys())


@EVERY
def test_a_server_does_not_start_with_a_broken_file(path: Path, text: str | bytes, why: str) -> None:
    """One sentence says what to mend, and repeats nothing that could be a token."""
    write(path, text)
    with pytest.raises(ConfigError) as refused:
        StaticTokenAuth(path)
    assert str(refused.value) == f"AGENTPHONE_HTTP_TOKENS_FILE: {str(path)!r} cannot be used: {why}"


@EVERY
def test_a_file_that_breaks_admits_nobody_until_it_is_mended(
    auth: StaticTokenAuth, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, text: str | bytes, why: str
) -> None:
    """Half a file must not be taken for the whole; it is told once, and everything is well when it is mended."""
    good = path.read_text(encoding="utf-8")
    for _ in range(2):
        caplog.clear()
        write(path, text)
        for _ in range(3):
            clock.now += 1
            assert (admitted(auth, ALICE), admitted(auth, BOB)) == (None, None)
            assert unavailable_reason(auth) == f"the tokens file cannot be used: {why}"
        (told,) = caplog.records
        assert told.levelno == logging.ERROR
        assert told.getMessage() == f"nobody is admitted, because {str(path)!r} cannot be used: {why}"
        write(path, good)
        clock.now += 1
        assert (admitted(auth, ALICE), admitted(auth, BOB)) == ("alice", "bob")
        assert unavailable_reason(auth) is None


def test_the_line_is_told_however_the_file_is_written() -> None:
    """Quotes, spaces, dots, and comments of any kind."""
    head = "# \u2028 of\x85 one line\n\n"
    for table in ('[tokens."a"]', "[ tokens . 'a' ] # [tokens.b]", "  [tokens.a]"):
        with pytest.raises(TokensUnusable, match=r"^line 5: scope is none"):
            parse_tokens(f"{head}{table}\n{HASH}'scope' = 'all'")
    with pytest.raises(TokensUnusable, match=r"^line 4: scope is none"):
        parse_tokens(f"{head}tokens.a.{HASH}tokens.a.scope = 'all'")
    with pytest.raises(TokensUnusable, match=r"^line 6: scope is none"):
        parse_tokens(f"{head}[tokens.a]\nsha256 = '''\n{'a' * 64}'''\nscope = 'all'")


def test_a_file_that_is_gone_admits_nobody_until_it_is_back(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """A volume may be mounted late, or anew."""
    path.rename(path.with_name("away"))
    clock.now += 1
    assert admitted(auth, ALICE) is None
    assert unavailable_reason(auth) == "the tokens file cannot be used: no such file or directory"
    path.with_name("away").rename(path)
    clock.now += 1
    assert admitted(auth, ALICE) == "alice"


@pytest.mark.parametrize("name", [pytest.param("", id="folder"), pytest.param("pipe", id="pipe")])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    """Reading a pipe would take until somebody writes."""
    if name:
        os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=r"cannot be used: it is not a file$"):
        StaticTokenAuth(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="the file's mode says who may write it on POSIX alone")
def test_a_file_that_everybody_may_write_admits_nobody(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """Anybody on the machine could add a token; taking that away is enough to mend it."""
    path.chmod(0o646)
    clock.now += 1
    assert admitted(auth, ALICE) is None
    why = "everybody on this machine may write it, which chmod o-w mends"
    assert unavailable_reason(auth) == f"the tokens file cannot be used: {why}"
    with pytest.raises(ConfigError, match=why):
        StaticTokenAuth(path)
    path.chmod(0o664)
    clock.now += 1
    assert admitted(auth, ALICE) == "alice"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_admits_nobody(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """Until it may be read again."""
    path.chmod(0)
    clock.now += 1
    assert unavailable_reason(auth) == "the tokens file cannot be used: permission denied"
    path.chmod(0o600)
    clock.now += 1
    assert admitted(auth, ALICE) == "alice"


def test_a_file_from_notepad_is_read(path: Path, clock: Clock) -> None:
    """With the mark at its beginning and the line ends of Windows."""
    write(path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").replace(sha256(ALICE), sha256(ALICE).upper()).encode())
    assert admitted(StaticTokenAuth(path, clock=clock), ALICE) == "alice"


def test_no_token_and_no_hash_is_shown_anywhere(
    auth: StaticTokenAuth, path: Path, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in a repr nor in the log, whether it stands where it belongs or where it was pasted by mistake."""
    caplog.set_level(logging.DEBUG)
    shown = [repr(auth), repr(let_in(auth, f"Bearer {ALICE}")), repr(parse_tokens(path.read_text()))]
    for text in (f"[tokens.{BOB}]", f'[tokens.a]\nsha256 = "{BOB}"', f'{GOOD}{BOB} = "{sha256(ALICE)}', GOOD * 2, GOOD):
        write(path, text)
        clock.now += 1
        shown.append(str(unavailable_reason(auth)))
    for pasted in (BOB, "sk_live_not_a_real_key_0042"):
        with pytest.raises(ConfigError) as refused:
            StaticTokenAuth(tmp_path / pasted)
        shown.append(str(refused.value))
    everything = "\n".join([*shown, caplog.text])
    assert "alice" in everything
    assert not re.search(rf"{ALICE}|{BOB}|[0-9a-f]{{32}}|sk_live_|\\x[0-9a-f]", everything)


def test_who_is_not_admitted_learns_how_to_ask_and_no_more(auth: StaticTokenAuth) -> None:
    """The same for all: it names no file, no name, and not what was wrong."""
    assert auth.challenge == 'Bearer realm="agentphone-mcp"'
    assert auth.challenge_message == (
        "Send the header Authorization: Bearer TOKEN with a token of this server, which its operator makes with "
        "`agentphone-mcp token add`."
    )

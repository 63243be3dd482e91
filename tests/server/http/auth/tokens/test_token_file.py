"""Read the tokens file again when it changes, and admit nobody while it is invalid."""

import logging
import os
from pathlib import Path

import pytest

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.server.http.auth.token_file import TokensUnusable, parse_tokens
from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth
from tests.server.http.auth.issuer import Clock
from tests.server.http.auth.tokens.tokens_file import (
    ALICE,
    BOB,
    CAROL,
    GOOD,
    entry,
    name_of,
    sha256,
    unavailable_reason,
    write,
)

HASH = f'sha256 = "{"a" * 64}"\n'
INVALID: dict[str, tuple[str | bytes, str]] = {
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
EVERY_INVALID_FILE = pytest.mark.parametrize(("text", "why"), INVALID.values(), ids=INVALID.keys())


def test_the_file_is_checked_once_a_second(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    write(path, entry("carol", CAROL))
    clock.now += 0.9
    assert (name_of(auth, ALICE), name_of(auth, CAROL)) == ("alice", None)
    clock.now += 0.2
    assert (name_of(auth, ALICE), name_of(auth, CAROL)) == (None, "carol")


def test_a_clock_that_is_set_back_delays_no_check(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    """Otherwise a removed token would stay valid for as long as the clock went back."""
    write(path, entry("carol", CAROL))
    clock.now -= 7_200
    assert name_of(auth, ALICE) is None


def test_a_replaced_file_of_the_same_size_and_time_is_noticed(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    other = path.with_name("other")
    write(other, entry("alicf", CAROL, "read") + entry("bob", BOB, "spend", "expires = 2027-01-31"))
    before = path.stat()
    os.utime(other, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert other.stat().st_size == before.st_size
    other.replace(path)
    clock.now += 1
    assert (name_of(auth, ALICE), name_of(auth, CAROL)) == (None, "alicf")


@EVERY_INVALID_FILE
def test_a_server_does_not_start_with_an_invalid_file(path: Path, text: str | bytes, why: str) -> None:
    write(path, text)
    with pytest.raises(ConfigError) as refused:
        StaticTokenAuth(path)
    assert str(refused.value) == f"AGENTPHONE_HTTP_TOKENS_FILE: {str(path)!r} cannot be used: {why}"


@EVERY_INVALID_FILE
def test_a_file_that_becomes_invalid_admits_nobody_until_it_is_mended(
    auth: StaticTokenAuth, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, text: str | bytes, why: str
) -> None:
    good = path.read_text(encoding="utf-8")
    for _ in range(2):
        caplog.clear()
        write(path, text)
        for _ in range(3):
            clock.now += 1
            assert (name_of(auth, ALICE), name_of(auth, BOB)) == (None, None)
            assert unavailable_reason(auth) == f"the tokens file cannot be used: {why}"
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.getMessage() == f"nobody is admitted, because {str(path)!r} cannot be used: {why}"
        write(path, good)
        clock.now += 1
        assert (name_of(auth, ALICE), name_of(auth, BOB)) == ("alice", "bob")
        assert unavailable_reason(auth) is None


def test_the_error_names_the_line_in_every_spelling_of_toml() -> None:
    head = "# \u2028 of\x85 one line\n\n"
    for table in ('[tokens."a"]', "[ tokens . 'a' ] # [tokens.b]", "  [tokens.a]"):
        with pytest.raises(TokensUnusable, match=r"^line 5: scope is none"):
            parse_tokens(f"{head}{table}\n{HASH}'scope' = 'all'")
    with pytest.raises(TokensUnusable, match=r"^line 4: scope is none"):
        parse_tokens(f"{head}tokens.a.{HASH}tokens.a.scope = 'all'")
    with pytest.raises(TokensUnusable, match=r"^line 6: scope is none"):
        parse_tokens(f"{head}[tokens.a]\nsha256 = '''\n{'a' * 64}'''\nscope = 'all'")


def test_a_file_that_is_gone_admits_nobody_until_it_is_back(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    path.rename(path.with_name("away"))
    clock.now += 1
    assert name_of(auth, ALICE) is None
    assert unavailable_reason(auth) == "the tokens file cannot be used: no such file or directory"
    path.with_name("away").rename(path)
    clock.now += 1
    assert name_of(auth, ALICE) == "alice"


@pytest.mark.parametrize("name", [pytest.param("", id="folder"), pytest.param("pipe", id="pipe")])
def test_a_folder_or_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """Reading a pipe would block until somebody writes."""
    if name:
        os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=r"cannot be used: it is not a file$"):
        StaticTokenAuth(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="the file's mode says who may write it on POSIX alone")
@pytest.mark.attack("18", "somebody else can add a token to those that are let in")
@pytest.mark.parametrize("mode", [0o646, 0o664, 0o620, 0o602])
def test_a_file_that_others_may_write_admits_nobody(auth: StaticTokenAuth, path: Path, clock: Clock, mode: int) -> None:
    path.chmod(mode)
    clock.now += 1
    assert name_of(auth, ALICE) is None
    why = "others than its owner may write it, which chmod go-w mends"
    assert unavailable_reason(auth) == f"the tokens file cannot be used: {why}"
    with pytest.raises(ConfigError, match=why):
        StaticTokenAuth(path)
    path.chmod(0o644)
    clock.now += 1
    assert name_of(auth, ALICE) == "alice"


@pytest.mark.skipif(os.name != "posix", reason="the folder's mode says who may write there on POSIX alone")
@pytest.mark.attack("18", "somebody else can add a token to those that are let in")
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_folder_where_others_may_replace_the_file_admits_nobody(
    path: Path, tmp_path: Path, clock: Clock, through_a_link: bool
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    file = path.rename(folder / "tokens.toml")
    if through_a_link:
        path.symlink_to(file)
    auth = StaticTokenAuth(path if through_a_link else file, clock=clock)
    for mode, name in ((0o777, None), (0o1777, "alice"), (0o755, "alice")):
        folder.chmod(mode)
        clock.now += 1
        assert name_of(auth, ALICE) == name


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_admits_nobody(auth: StaticTokenAuth, path: Path, clock: Clock) -> None:
    path.chmod(0)
    clock.now += 1
    assert unavailable_reason(auth) == "the tokens file cannot be used: permission denied"
    path.chmod(0o600)
    clock.now += 1
    assert name_of(auth, ALICE) == "alice"


def test_a_file_from_notepad_is_read(path: Path, clock: Clock) -> None:
    write(path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").replace(sha256(ALICE), sha256(ALICE).upper()).encode())
    assert name_of(StaticTokenAuth(path, clock=clock), ALICE) == "alice"

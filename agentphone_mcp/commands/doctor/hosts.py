"""The hosts that are installed here: is our entry there, can it be read, and does what it names start and answer."""

import errno
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.doctor.host_entries import Address, Launch, NoEntry, is_switched_off, read_entry
from agentphone_mcp.commands.doctor.launch import Answer, NoAnswer, ask, start
from agentphone_mcp.commands.doctor.network_errors import cause_of
from agentphone_mcp.commands.doctor.redaction import command_line, discreet
from agentphone_mcp.commands.install.documents import Broken, Document, table_in
from agentphone_mcp.commands.install.editing import parse
from agentphone_mcp.commands.install.files import CannotChange, read
from agentphone_mcp.commands.install.hosts import HOSTS, SERVER_KEY, Host
from agentphone_mcp.commands.install.locations import Place
from agentphone_mcp.variables import KEY_VARIABLE

_AT_ONCE = 2
"""Each that starts takes a processor for a second."""


@dataclass(frozen=True)
class Look:
    """Where to look, and how long to wait.

    Attributes:
        place: the person and the machine.
        project: the folder in which hosts look for entries of a project.
        within: seconds in which a server has to start and answer.
        key_is_kept: whether the key is in the system's keychain, so that no variable has to hold it.
    """

    place: Place
    project: Path
    within: float = 30.0
    key_is_kept: bool = False


class _Unreadable(Exception):
    """A file of a host cannot be read; the message is what is wrong with it, the argument `remedy` what to do."""

    def __init__(self, said: str, remedy: str) -> None:
        super().__init__(said)
        self.remedy = remedy


async def check_hosts(look: Look, only: str | None = None, *, key_is_kept: bool = False) -> list[Finding]:
    """Look at each host that somebody uses here, two at a time.

    Args:
        look: where to look.
        only: the key of the one host that is meant, which then must have an entry.
        key_is_kept: whether the key is in the system's keychain.
    """
    look = replace(look, key_is_kept=key_is_kept)
    hosts = [host for host in HOSTS.values() if only == host.key or (only is None and host.is_installed(look.place))]
    if not hosts:
        return [skipped("hosts", f"none of the {len(HOSTS)} known ones is installed for this user")]
    found: dict[str, Finding] = {}
    two = anyio.Semaphore(_AT_ONCE)

    async def examine(host: Host) -> None:
        async with two:
            found[host.key] = await _check(host, look, must_be=only is not None)

    async with anyio.create_task_group() as beside:
        for host in hosts:
            beside.start_soon(examine, host)
    said = [found[host.key] for host in hosts]
    if all(finding.facts.get("entry") is False for finding in said):
        remedy = "Run `agentphone-mcp install`, and restart the host"
        names = ", ".join(host.title for host in hosts)
        return [failure("hosts", f"none of those installed has an entry of agentphone: {names}", remedy)]
    return said


def host_keys(look: Look) -> dict[str, str | None]:
    """The keys that entries bring along, by the titles of their hosts; None where the host keeps the key by itself."""
    found: dict[str, str | None] = {}
    for host in HOSTS.values():
        try:
            entry = _find(host, look) if host.is_installed(look.place) else None
            read = read_entry(host.key, entry[1], look.place.environ, look.place.platform) if entry else None
        except (_Unreadable, NoEntry):
            continue  # it is said where the host is looked at
        if isinstance(read, Launch):
            text = read.environ.get(KEY_VARIABLE)
            if text or read.asks:
                found[host.title] = text
    return found


async def _check(host: Host, look: Look, *, must_be: bool) -> Finding:
    install = f"Run `agentphone-mcp install {host.key}`, and restart {host.title}"
    try:
        found = _find(host, look)
    except _Unreadable as broken:
        return failure(host.title, mask_keys(str(broken)), broken.remedy)
    if found is None:
        said = f"has no entry of {SERVER_KEY} in {host.user_file(look.place)}"
        return failure(host.title, said, install) if must_be else _without(host, said)
    file, entry = found
    if is_switched_off(entry):
        return warning(host.title, f"its entry in {file} is switched off", f"Switch it on in {host.title}")
    try:
        read = read_entry(host.key, entry, look.place.environ, look.place.platform)
    except NoEntry as nothing:
        return failure(host.title, f"its entry in {file}: {nothing}", install)
    return await _asked(host, read, look) if isinstance(read, Address) else await _started(host, read, look, install)


def _without(host: Host, said: str) -> Finding:
    remedy = f"Run `agentphone-mcp install {host.key}` if it should have one"
    return Finding(host.title, "skipped", said, remedy, {"entry": False})


def _find(host: Host, look: Look) -> tuple[Path, Mapping[str, Any]] | None:
    """The entry and the file that it is in: the user's, or else that of the project one is in."""
    for file, tables in _sources(host, look):
        document = _parsed(host, file)
        for table in tables:
            try:
                servers = table_in(document, table)
            except Broken as broken:
                raise _Unreadable(f"{file}: {broken}", _mend(host)) from None
            entry = (servers or {}).get(SERVER_KEY)
            if isinstance(entry, dict):
                return file, cast("Mapping[str, Any]", entry)
    return None


def _sources(host: Host, look: Look) -> Iterator[tuple[Path, list[tuple[str, ...]]]]:
    # `claude mcp add` without a scope writes for one user and one project, into the user's file.
    of_project = [("projects", str(look.project), *host.table)] if host.key == "claude-code" else []
    yield host.user_file(look.place), [host.table, *of_project]
    if host.project_file:
        yield look.project / host.project_file, [host.table]


def _parsed(host: Host, file: Path) -> Document:
    try:
        return parse(host, read(file) or "")
    except CannotChange as cannot:
        remedy = f"Make it a text file in UTF-8 that you may read, and restart {host.title}"
        raise _Unreadable(str(cannot), remedy) from None
    except Broken as broken:
        raise _Unreadable(f"{file}: {broken}", _mend(host)) from None


def _mend(host: Host) -> str:
    return f"Mend that place in the file: until then {host.title} reads none of its servers"


async def _started(host: Host, launch: Launch, look: Look, install: str) -> Finding:
    command = shutil.which(launch.command, path=launch.search_path)
    if command is None:
        elsewhere = shutil.which(launch.command, path=look.place.environ.get("PATH", ""))
        if elsewhere:
            said = f"its command {launch.command} is at {elsewhere}, where {host.title} does not look (spawn ENOENT)"
        else:
            said = f"its command {launch.command} is not there (spawn ENOENT)"
        remedy = f"{install}: that writes the whole path of uvx; without uvx, install uv first"
        return failure(host.title, said, remedy, command=launch.command)
    try:
        answer = await start(launch, command, look.within)
    except NoAnswer as none:
        return _not_started(host, launch, none, look)
    return _well(host, launch, answer, look)


def _not_started(host: Host, launch: Launch, none: NoAnswer, look: Look) -> Finding:
    last = f"; it said: {none.said}" if none.said else ""
    by_hand = f"Run `{command_line(launch, look.place.platform)}` in a terminal to see why"
    if isinstance(none.why, TimeoutError):
        said = f"its command starts and does not answer within {look.within:g} seconds{last}"
        return failure(host.title, said, f"{by_hand}; the first start downloads the package and may take longer")
    if isinstance(none.why, OSError) and none.why.errno in (errno.EACCES, errno.ENOEXEC):
        return failure(host.title, f"its command {launch.command} cannot be run: {none.why.strerror}", by_hand)
    return failure(host.title, f"its command ends before it answers{last}", by_hand)


async def _asked(host: Host, address: Address, look: Look) -> Finding:
    try:
        return _well(host, address, await ask(address, look.within), look)
    except NoAnswer as none:
        url = discreet(address.url.partition("?")[0])
        if none.status in (401, 403) and address.asks:
            return skipped(host.title, f"{url} answers; the token that {host.title} asks its user for is not looked at")
        if none.status in (401, 403):
            unset = f" ({', '.join(address.unset)} is not set)" if address.unset else ""
            remedy = f"Put a token into its entry that the server's operator gave you{unset}"
            return failure(host.title, f"{url} answers {none.status}: the token is missing or wrong", remedy)
        if none.status:
            remedy = "Check the URL in its entry; the path is usually /mcp"
            return failure(host.title, f"{url} answers {none.status} and is no MCP server", remedy)
        cause = cause_of(none.why)
        return failure(host.title, f"{url} {cause.said}", f"Check the URL in its entry; {_lower(cause.remedy)}")


def _well(host: Host, read: Launch | Address, answer: Answer, look: Look) -> Finding:
    said = f"answers in {answer.ms} ms with {answer.tools} tools, version {answer.version}"
    facts = {"ms": answer.ms, "tools": answer.tools, "version": answer.version}
    if answer.name != SERVER_KEY:
        remedy = f"Run `agentphone-mcp install {host.key}`: it replaces the entry"
        return warning(host.title, f"{said}, but it is another server, {mask_keys(answer.name)}", remedy, **facts)
    unset = [name for name in read.unset if name != KEY_VARIABLE or not look.key_is_kept]
    if unset:
        names = ", ".join(unset)
        remedy = f"Set {names} where {host.title} is started, or keep the key with `agentphone-mcp login`"
        return warning(host.title, f"{said}, but its entry refers to {names}, which is not set here", remedy, **facts)
    return ok(host.title, said, **facts)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]

"""Run `agentphone-mcp doctor`: find out why the server does not work, and what to do."""

import json
import logging
import os
import signal
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import anyio
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentphone_mcp import __version__
from agentphone_mcp.commands.doctor.finding import Finding, Verdict, all_ok
from agentphone_mcp.commands.doctor.hosts import HostSearch, check_hosts, host_keys
from agentphone_mcp.commands.doctor.run import Environment, run_checks
from agentphone_mcp.commands.doctor.settings import check_settings
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.locations import read_machine
from agentphone_mcp.commands.options import HELP_NAMES, Amount
from agentphone_mcp.config.config import read_state
from agentphone_mcp.config.environment import complete_session_bus
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.untrusted import clean

_STOPPING = ("SIGTERM", "SIGHUP", "SIGBREAK")
_STYLES: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}


@click.command(context_settings=HELP_NAMES)
@click.option("--json", "is_json", is_flag=True, help="One JSON object.")
@click.option("--base-url", help="Where the API is asked, instead of AGENTPHONE_BASE_URL.")
@click.option("--state", help="Where the ledger is kept, instead of AGENTPHONE_STATE.")
@click.option(
    "--sandbox", is_flag=True, help="Ask an AgentPhone of its own on this machine, as AGENTPHONE_SANDBOX does."
)
@click.option("--hosts/--no-hosts", "with_hosts", default=True, help="Start what the hosts here would start, too.")
@click.option("--host", type=click.Choice(list(HOSTS)), help="Of the hosts only this one, which must have an entry.")
@click.option("--project", is_flag=True, help="Start and ask, too, what files of the current folder's project name.")
@click.option(
    "--start-within",
    type=Amount(1, 300),
    default=30.0,
    show_default=True,
    help="Seconds in which the server of a host has to start and answer.",
)
def doctor(
    is_json: bool,
    base_url: str | None,
    state: str | None,
    sandbox: bool,
    with_hosts: bool,
    host: str | None,
    project: bool,
    start_within: float,
) -> None:
    """Say what is wrong when it is not working, and what to do about it.

    It takes the settings of the server from the environment, asks the API only questions that change nothing, and ends
    with status 1 when something failed. What the files of a project name is shown, and started only with --project, as
    others may have written them.
    """
    # The report says itself when a server writes anything but the protocol.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    given = {"AGENTPHONE_BASE_URL": base_url, "AGENTPHONE_STATE": state, "AGENTPHONE_SANDBOX": "1" if sandbox else None}
    complete_session_bus(os.environ)
    try:
        read_state("")
    except ConfigError as exc:
        raise click.ClickException(str(exc)) from None
    # The hosts' servers get the hosts' environment, without the options given here.
    machine = read_machine(os.environ)
    search = HostSearch(machine, _project(machine.home), start_within, trusts_project=project)
    hosts = partial(check_hosts, search, host) if with_hosts or host else None
    environ = dict(machine.environ) | {name: value for name, value in given.items() if value}
    environment = Environment(environ, machine, host_keys(search) if hosts else {})
    with ExitStack() as stack:
        if check_settings(environment.environ)[0].is_sandbox:
            from agentphone_mcp.sandbox import running

            box = stack.enter_context(running())
            environment = replace(environment, sandbox=(box.url, box.key))
        with _stopped_like_ctrl_c():
            findings = anyio.run(run_checks, environment, hosts)
    if is_json:
        click.echo(_as_json(findings, __version__))
    else:
        _show(findings, Console())
    if not all_ok(findings):
        click.get_current_context().exit(1)


def _project(home: Path) -> Path:
    """Return the current folder, or the home folder if the current one was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return home


@contextmanager
def _stopped_like_ctrl_c() -> Generator[None]:
    """Handle termination signals like Ctrl-C, so that the servers started here, in sessions of their own, end too."""
    kinds = [getattr(signal, name) for name in _STOPPING if hasattr(signal, name)]
    # A signal that `nohup` ignores stays ignored.
    kinds = [kind for kind in kinds if signal.getsignal(kind) is not signal.SIG_IGN]
    before = [(kind, signal.signal(kind, _interrupt)) for kind in kinds]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Scripts start background jobs so, and asyncio shuts down in order by this signal alone.
        before.append((signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler)))
    try:
        yield
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)


def _interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def _as_json(findings: Sequence[Finding], version: str) -> str:
    """Serialize to an object: `version`, `ok`, `findings` of `check`, `status`, `said`, `remedy` and `facts`."""
    report = {"version": version, "ok": all_ok(findings), "findings": [asdict(finding) for finding in findings]}
    return json.dumps(report, indent=2)


def _show(findings: Sequence[Finding], console: Console) -> None:
    """Print a row for each finding with its remedy below it, and a conclusion."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for finding in findings:
        message = Text(_writable(finding.said, console))
        if finding.remedy:
            message.append(f"\n-> {_writable(finding.remedy, console)}", style="bold")
        table.add_row(Text(finding.status, _STYLES[finding.status]), Text(_writable(finding.check, console)), message)
    console.print(table)
    console.print()
    console.print(Text(_conclusion(findings)))


def _conclusion(findings: Sequence[Finding]) -> str:
    failures = sum(finding.status == "failure" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    also = f", with {_counted(warnings, 'warning')}" if warnings else ""
    return f"It does not work: {_counted(failures, 'failure')}{also}." if failures else f"It works{also}."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _writable(words: str, console: Console) -> str:
    """Put a text on one line, without control characters or characters that the stream cannot encode."""
    line = " ".join(clean(words).split())
    return line.encode(console.encoding, "replace").decode(console.encoding)

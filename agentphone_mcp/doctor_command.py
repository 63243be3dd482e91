"""`agentphone-mcp doctor`: what is wrong when it is not working, for the person who wants it to."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import anyio
import click
from rich.console import Console

from agentphone_mcp import __version__
from agentphone_mcp.doctor.examination import Patient, examine
from agentphone_mcp.doctor.finding import is_well
from agentphone_mcp.doctor.report import as_json, show
from agentphone_mcp.doctor.settings import check_settings


@click.command()
@click.option("--json", "is_json", is_flag=True, help="One JSON object.")
@click.option("--base-url", help="Where the API is asked, instead of AGENTPHONE_BASE_URL.")
@click.option("--state", help="Where the ledger is kept, instead of AGENTPHONE_STATE.")
@click.option(
    "--sandbox", is_flag=True, help="Ask an AgentPhone of its own on this machine, as AGENTPHONE_SANDBOX does."
)
def doctor(is_json: bool, base_url: str | None, state: str | None, sandbox: bool) -> None:
    """Say what is wrong when it is not working, and what to do about it.

    It takes the settings of the server from the environment, asks the API only questions that change nothing, and ends
    with status 1 when something failed.
    """
    given = {"AGENTPHONE_BASE_URL": base_url, "AGENTPHONE_STATE": state, "AGENTPHONE_SANDBOX": "1" if sandbox else None}
    environ = read_variables(os.environ) | {name: value for name, value in given.items() if value}
    with ExitStack() as stack:
        patient = Patient(environ, Path.home())
        if check_settings(environ)[0].is_sandbox:
            from agentphone_mcp.sandbox import running

            box = stack.enter_context(running())
            patient = replace(patient, environ=environ | {"AGENTPHONE_BASE_URL": box.url}, sandbox_key=box.key)
        found = anyio.run(examine, patient)
    if is_json:
        click.echo(as_json(found, __version__))
    else:
        show(found, Console())
    if not is_well(found):
        click.get_current_context().exit(1)


def read_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables as they stand now."""
    return dict(environ)

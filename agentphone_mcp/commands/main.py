"""Define the command: serve (the default), demo, doctor, install, ledger, login, logout, sandbox, token."""

import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from agentphone_mcp import __version__
from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.options import HELP_NAMES, serving_options
from agentphone_mcp.commands.serve import run_server

_EPILOG = """\
The key never comes from the command line: AGENTPHONE_API_KEY holds it, or AGENTPHONE_API_KEY_FILE names a file that
does. Where neither is set it is looked for in the system's keychain, where `agentphone-mcp login` keeps it. Without any
the server starts and says so at the first call; --sandbox needs none.
"""


_LATER = {
    "doctor": "commands.doctor.command",
    "install": "commands.install.command",
    "ledger": "commands.ledger",
    "login": "commands.login",
    "logout": "commands.login",
    "sandbox": "commands.sandbox",
    "token": "commands.token",
}
"""The modules of commands, imported only when they are used, so that serving starts sooner."""


class _OneLineErrors(click.Group):
    """Report errors in one sentence on stderr: a host shows its user little more than the first line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LATER:
            return getattr(import_module(f"agentphone_mcp.{_LATER[cmd_name]}"), cmd_name)
        return super().get_command(ctx, cmd_name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        # What is wrong with a setting of serving stops nobody who does something else; the doctor names each by itself.
        lenient = {"resilient_parsing": True} if args and args[0] in self.list_commands(click.Context(self)) else {}
        return super().make_context(info_name, args, parent, **extra | lenient)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            # What an old code page cannot write becomes "?"; the protocol goes past this, in UTF-8.
            reconfigure(errors="replace")
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}) or 0)
        except click.ClickException as exc:
            # Some type the key where it does not belong; it must not end in a log.
            message = " ".join(map(str.strip, mask_keys(exc.format_message()).splitlines()))
            click.echo(f"Error: {message}", err=True)
            sys.exit(exc.exit_code)
        except click.Abort:
            sys.exit(130)
        except OSError as exc:
            # What was not written, on a full disk perhaps, is not tried again at the end.
            sys.stdout = None
            click.echo(f"Error: {mask_keys(str(exc))}", err=True)
            sys.exit(1)


@click.group(
    cls=_OneLineErrors,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"show_default": True, "max_content_width": 110} | HELP_NAMES,
)
@click.version_option(__version__, prog_name="agentphone-mcp")
@serving_options
@click.pass_context
def main(ctx: click.Context, **options: Any) -> None:
    """A telephone for AI assistants: serve the AgentPhone tools over MCP.

    Without a command it serves over stdio, as hosts expect.
    """
    given = [name for name in options if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if ctx.invoked_subcommand is None:
        if options["sandbox"] and "base_url" in given:
            raise click.UsageError("--sandbox has an address of its own: leave --base-url out")
        for_http = [name for name in given if name.startswith(("host", "port", "http_"))]
        if for_http and options["transport"] == "stdio":
            # A server that should ask for credentials must not start as one that asks for none.
            raise click.UsageError(f"{_flag(for_http[0])} needs --transport streamable-http or sse")
        # The streams are None where they are closed.
        run_server(options, sys.stdin, sys.stdout)
    elif given:
        raise click.UsageError(f"{_flag(given[0])} is for serving: {ctx.invoked_subcommand} does not take it")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@main.command(short_help="Show what an assistant can do, for nothing.")
def demo() -> None:
    """Show in half a minute what an assistant can do; on the sandbox, for nothing."""
    from agentphone_mcp.commands.demo import run_demo

    sys.exit(run_demo())

"""The command: serve (the default), demo, sandbox."""

import os
import signal
import sys
from contextlib import ExitStack
from threading import Event
from typing import Any, NoReturn

import click

from agentphone_mcp import __version__
from agentphone_mcp.api.key import DEFAULT_BASE_URL, ApiKey, mask_keys
from agentphone_mcp.config import TOOLSETS, Config, ConfigError, read_key, read_toolsets

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_EPILOG = """\
The key comes from the environment and never from the command line: AGENTPHONE_API_KEY, or AGENTPHONE_API_KEY_FILE with
the path of a file that holds it. Without a key the server starts and says so at the first call; --sandbox needs none.
"""


class _OneSentence(click.Group):
    """Says what is wrong in one sentence on stderr: a host shows its user little more than the first line."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}) or 0)
        except click.ClickException as wrong:
            # Some type the key where it does not belong; it must not end in a log.
            click.echo(f"Error: {mask_keys(wrong.format_message())}", err=True)
            sys.exit(wrong.exit_code)
        except click.Abort:
            sys.exit(130)


@click.group(
    cls=_OneSentence,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"show_default": True, "max_content_width": 110},
)
@click.version_option(__version__, prog_name="agentphone-mcp")
@click.option(
    "--transport",
    type=click.Choice(["stdio", "streamable-http", "sse"]),
    default="stdio",
    envvar="AGENTPHONE_TRANSPORT",
    show_envvar=True,
    help="How hosts reach the server; HTTP is on loopback: /mcp, or /sse for old clients.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, envvar="AGENTPHONE_PORT", show_envvar=True)
@click.option(
    "--base-url",
    default=DEFAULT_BASE_URL,
    envvar="AGENTPHONE_BASE_URL",
    show_envvar=True,
    help="One of AgentPhone's two hosts, or a sandbox on loopback.",
)
@click.option(
    "--sub-account", envvar="AGENTPHONE_SUB_ACCOUNT", show_envvar=True, help="Scope everything to a child account."
)
@click.option(
    "--toolsets",
    default="all",
    envvar="AGENTPHONE_TOOLSETS",
    show_envvar=True,
    help=f"Comma-separated: {', '.join(TOOLSETS)}.",
)
@click.option(
    "--read-only", is_flag=True, envvar="AGENTPHONE_READ_ONLY", show_envvar=True, help="Only tools that change nothing."
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 300),
    default=30.0,
    envvar="AGENTPHONE_TIMEOUT",
    show_envvar=True,
    help="Seconds that one answer of the API may take.",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    default="WARNING",
    envvar="AGENTPHONE_LOG_LEVEL",
    show_envvar=True,
    help="What is written to stderr.",
)
@click.option(
    "--sandbox",
    is_flag=True,
    envvar="AGENTPHONE_SANDBOX",
    show_envvar=True,
    help="Use an AgentPhone of its own on this machine: no account, no key, no money.",
)
@click.option(
    "--sandbox-speed",
    type=click.FloatRange(0.1, 1000),
    default=1.0,
    envvar="AGENTPHONE_SANDBOX_SPEED",
    show_envvar=True,
    help="How much faster than real time the sandbox's calls go.",
)
@click.pass_context
def main(ctx: click.Context, **options: Any) -> None:
    """A telephone for AI assistants: serve the AgentPhone tools over MCP.

    Without a command it serves over stdio, as hosts expect.
    """
    if ctx.invoked_subcommand is None:
        _serve(options)


@main.command()
def demo() -> None:
    """Show in half a minute what an assistant can do; on the sandbox, for nothing."""
    from agentphone_mcp.demo import run_demo

    sys.exit(run_demo())


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8787)
@click.option("--speed", type=click.FloatRange(0.1, 1000), default=1.0, help="How much faster than real time calls go.")
@click.option("--key", help="The key to accept; a random one if left out.")
def sandbox(port: int, speed: float, key: str | None) -> None:
    """Run the sandbox alone, for any client of the AgentPhone API."""
    from agentphone_mcp.sandbox import running
    from agentphone_mcp.sandbox.terminal import show

    stop = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        with running(speed=speed, port=port, key=key) as box:
            show(box, stop)
    except OSError as taken:
        raise click.ClickException(str(taken)) from None


def _serve(options: dict[str, Any]) -> None:
    with ExitStack() as stack:
        try:
            config = _configured(options, stack)
        except ConfigError as wrong:
            raise click.UsageError(str(wrong)) from None
        # The SDK takes half a second to import: a wrong setting should not have to wait for it.
        from agentphone_mcp.logs import log_to_stderr
        from agentphone_mcp.server import create_server
        from agentphone_mcp.serving import serve

        log_to_stderr(options["log_level"].upper(), config.cut_key)
        if options["transport"] == "stdio" and sys.stdin.isatty():
            click.echo("Waiting for an MCP host on stdin; for a look at it, try: agentphone-mcp demo", err=True)
        serve(create_server(config), options["transport"], options["port"])


def _configured(options: dict[str, Any], stack: ExitStack) -> Config:
    key, base_url = None, options["base_url"]
    if options["sandbox"]:
        from agentphone_mcp.sandbox import running

        box = stack.enter_context(running(speed=options["sandbox_speed"]))
        key, base_url = ApiKey(box.key), box.url
    else:
        key = read_key(os.environ)
    return Config(
        api_key=key,
        base_url=base_url,
        sub_account=options["sub_account"] or None,
        toolsets=read_toolsets(options["toolsets"]),
        read_only=options["read_only"],
        timeout=options["timeout"],
    )

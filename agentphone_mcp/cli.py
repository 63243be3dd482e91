"""The command: serve (the default), demo, ledger, login, logout, sandbox, token."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from agentphone_mcp import __version__
from agentphone_mcp.api.key import ApiKey, KeyRuleBroken, mask_keys
from agentphone_mcp.config import (
    Config,
    ConfigError,
    read,
    read_destinations,
    read_key,
    read_request_state_keys,
    read_session_bus,
    read_span_exporter,
    read_state,
    read_toolsets,
)
from agentphone_mcp.guard.books import IN_MEMORY
from agentphone_mcp.guard.limits import Limits
from agentphone_mcp.guard.rates import Rates
from agentphone_mcp.options import serving_options

if TYPE_CHECKING:
    from agentphone_mcp.hosting.settings import HttpSettings
    from agentphone_mcp.switchboard import Switchboard

_EPILOG = """\
The key never comes from the command line: AGENTPHONE_API_KEY holds it, or AGENTPHONE_API_KEY_FILE names a file that
does. Where neither is set it is looked for in the system's keychain, where `agentphone-mcp login` keeps it. Without any
the server starts and says so at the first call; --sandbox needs none.
"""


class _OneSentence(click.Group):
    """Says what is wrong in one sentence on stderr: a host shows its user little more than the first line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "ledger", "login", "logout", "sandbox", "token"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # What these need takes a while to import, which those who only serve need not wait for.
        if cmd_name == "sandbox":
            from agentphone_mcp.sandbox.command import sandbox

            return sandbox
        if cmd_name == "ledger":
            from agentphone_mcp.ledger_command import ledger

            return ledger
        if cmd_name in ("login", "logout"):
            from agentphone_mcp import login_command

            return login_command.login if cmd_name == "login" else login_command.logout
        if cmd_name == "token":
            from agentphone_mcp.token_command import token

            return token
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            # What an old code page cannot write becomes "?"; the protocol goes past this, in UTF-8.
            reconfigure(errors="replace")
        try:
            sys.exit(super().main(*args, **extra | {"standalone_mode": False}) or 0)
        except click.ClickException as wrong:
            # Some type the key where it does not belong; it must not end in a log.
            said = " ".join(map(str.strip, mask_keys(wrong.format_message()).splitlines()))
            click.echo(f"Error: {said}", err=True)
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
        if options["sandbox"] and options["http_auth"] == "relay":
            raise click.UsageError("--sandbox has one key, so there is nothing to relay: run `agentphone-mcp sandbox`")
        for_http = [name for name in given if name.startswith(("host", "port", "http_"))]
        if for_http and options["transport"] == "stdio":
            # Whoever asks for credentials must not get a server that asks nobody.
            raise click.UsageError(f"{_flag(for_http[0])} needs --transport streamable-http or sse")
        _serve(options)
    elif given:
        raise click.UsageError(f"{_flag(given[0])} is for serving: {ctx.invoked_subcommand} does not take it")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@main.command(short_help="Show what an assistant can do, for nothing.")
def demo() -> None:
    """Show in half a minute what an assistant can do; on the sandbox, for nothing."""
    from agentphone_mcp.demo import run_demo

    sys.exit(run_demo())


def _serve(options: dict[str, Any]) -> None:
    with ExitStack() as stack:
        is_stdio = options["transport"] == "stdio"
        unheard: list[str] = []
        try:
            config = _configured(options, stack, unheard.append)
            settings = None if is_stdio else _http_settings(options, config)
        except ConfigError as wrong:
            raise click.UsageError(str(wrong)) from None
        # The SDK takes half a second to import: a wrong setting should not have to wait for it.
        from agentphone_mcp.logs import log_to_stderr
        from agentphone_mcp.switchboard import Switchboard

        board = Switchboard(config)
        say = log_to_stderr(options["log_level"].upper(), board.cut, options["log_format"])
        for warning in unheard:
            logging.getLogger(__name__).warning(warning)
        if exporter := read_span_exporter(os.environ):
            stack.enter_context(_sending_spans(exporter, board.cut))
        if settings is None:
            _serve_stdio(config, board)
        else:
            _serve_http(config, settings, board, say)


def _serve_stdio(config: Config, board: "Switchboard") -> None:
    from agentphone_mcp.server import create_server
    from agentphone_mcp.serving import serve_stdio

    _look_at_stdin()
    serve_stdio(create_server(config, board))


def _serve_http(config: Config, settings: "HttpSettings", board: "Switchboard", say: Callable[[str], None]) -> None:
    from agentphone_mcp.hosting.serve import serve
    from agentphone_mcp.listening import CannotListen

    try:
        serve(config, settings, board, say)
    except ConfigError as wrong:
        raise click.UsageError(str(wrong)) from None
    except CannotListen as cannot:
        raise click.ClickException(str(cannot)) from None


def _http_settings(options: dict[str, Any], config: Config) -> "HttpSettings":
    from agentphone_mcp.hosting.settings import HttpSettings, check_key, read_names

    settings = HttpSettings(
        transport=options["transport"],
        host=options["host"],
        port=options["port"],
        auth=options["http_auth"],
        tokens_file=options["http_tokens_file"].strip(),
        jwt_issuer=options["http_jwt_issuer"].strip(),
        jwks_url=options["http_jwks_url"].strip(),
        resource_url=options["http_resource_url"].strip(),
        allowed_hosts=read_names(options["http_allowed_hosts"]),
        allowed_origins=read_names(options["http_allowed_origins"]),
        max_sessions=options["http_max_sessions"],
        max_calls=options["http_max_calls"],
        idle_timeout=options["http_idle_timeout"],
    )
    check_key(config, settings)
    return settings


def _sending_spans(exporter: str, cut: Callable[[str], str]) -> AbstractContextManager[None]:
    try:
        from agentphone_mcp.telemetry import sending_spans
    except ImportError as missing:
        # The variables may be meant for other programs of this user, so it is no mistake.
        logging.getLogger(__name__).info("spans are not sent: %s; install agentphone-mcp[otel]", missing)
        return nullcontext()
    return sending_spans(exporter, cut)


def _look_at_stdin() -> None:
    """Tell whoever sits at a terminal what this is; a host never sees it."""
    streams: list[TextIO | None] = [sys.stdin, sys.stdout]
    if None in streams:
        raise click.ClickException("stdin or stdout is closed: a host talks to this server over them")
    if sys.stdin.isatty():
        click.echo("Waiting for an MCP host on stdin; for a look at it, try: agentphone-mcp demo", err=True)


def _configured(options: dict[str, Any], stack: ExitStack, warn: Callable[[str], None]) -> Config:
    key, base_url = None, options["base_url"]
    auth = options["http_auth"] if options["transport"] != "stdio" else "none"
    if options["sandbox"]:
        from agentphone_mcp.sandbox import running

        box = stack.enter_context(running(speed=options["sandbox_speed"]))
        key, base_url = ApiKey(box.key), box.url
    else:
        key = read_key(os.environ)
        if key is None and auth != "relay" and options["keychain"] == "on":
            key = _kept_key(base_url, warn)
    return Config(
        api_key=key,
        base_url=base_url,
        sub_account=(options["sub_account"] or "").strip() or None,
        toolsets=read_toolsets(options["toolsets"]),
        read_only=options["read_only"],
        timeout=options["timeout"],
        state=IN_MEMORY if options["sandbox"] and not options["state"] else read_state(options["state"] or ""),
        limits=read("AGENTPHONE_LIMITS", Limits.parse, options["limits"]),
        rates=read("AGENTPHONE_RATES", Rates.parse, options["rates"]),
        destinations=read_destinations(
            options["allowed_countries"], options["allowed_recipients"], options["quiet_hours"]
        ),
        needs_person=options["approval"] == "human",
        approval_timeout=options["approval_timeout"],
        ai_disclosure=options["ai_disclosure"] == "on",
        send_traceparent=options["send_traceparent"],
        is_shared=auth != "none",
        relays=auth == "relay",
        request_state_keys=read_request_state_keys(os.environ),
    )


def _kept_key(base_url: str, warn: Callable[[str], None]) -> ApiKey | None:
    """The key that `login` kept; a keychain that fails is no more than a warning, as a server starts without a key."""
    from agentphone_mcp.keychain import INSTEAD, NoKeychain, find

    read_session_bus(os.environ)
    try:
        return find(base_url)
    except KeyRuleBroken as broken:
        raise ConfigError(f"AGENTPHONE_BASE_URL: {broken}") from None
    except NoKeychain as cannot:
        warn(f"no key was found in the system's keychain: {cannot}; unlock it and start again, or {INSTEAD}")
        return None

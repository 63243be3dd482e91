"""From the options of serving to a server that serves: settings checked first, the SDK imported last."""

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import click

from agentphone_mcp.api.key import DEFAULT_BASE_URL, ApiKey
from agentphone_mcp.config import (
    Config,
    ConfigError,
    read,
    read_cache,
    read_destinations,
    read_key,
    read_request_state_keys,
    read_session_bus,
    read_span_exporter,
    read_state,
    read_toolsets,
)
from agentphone_mcp.forerunner.answers import EarlyAnswers
from agentphone_mcp.forerunner.descriptors import Wire
from agentphone_mcp.forerunner.session import Forerunner
from agentphone_mcp.forerunner.surface import load, note_difference
from agentphone_mcp.guard.books import IN_MEMORY
from agentphone_mcp.guard.limits import Limits
from agentphone_mcp.guard.rates import Rates

if TYPE_CHECKING:
    from agentphone_mcp.hosting.settings import HttpSettings
    from agentphone_mcp.switchboard import Switchboard


def serve(options: dict[str, Any], stdin: TextIO | None, stdout: TextIO | None) -> None:
    """Serve until the host goes away or the process is told to stop.

    Args:
        options: those of `agentphone_mcp.options`, by name.
        stdin: the process's.
        stdout: the process's.

    Raises:
        click.ClickException: with one sentence, if a setting is wrong or nobody can be served.
    """
    with ExitStack() as stack:
        is_stdio = options["transport"] == "stdio"
        unheard: list[str] = []
        try:
            config = _checked(options)
            ahead = _run_ahead(config, stdin, stdout, stack) if is_stdio else None
            config = _with_account(config, options, stack, unheard.append)
            settings = None if is_stdio else _http_settings(options, config)
        except ConfigError as wrong:
            raise click.UsageError(str(wrong)) from None
        # The SDK takes half a second to import: a wrong setting should not have to wait for it.
        import logging

        from agentphone_mcp.logs import log_to_stderr
        from agentphone_mcp.switchboard import Switchboard

        board = Switchboard(config)
        say = log_to_stderr(options["log_level"].upper(), board.cut, options["log_format"])
        for warning in unheard:
            logging.getLogger(__name__).warning(warning)
        if exporter := read_span_exporter(os.environ):
            stack.enter_context(_sending_spans(exporter, board.cut))
        if settings is None:
            _serve_stdio(config, board, ahead)
        else:
            _serve_http(config, settings, board, say)


def _run_ahead(config: Config, stdin: TextIO | None, stdout: TextIO | None, stack: ExitStack) -> Forerunner | None:
    """Answer the host's first questions from now on; None where it has to wait for the SDK."""
    if stdin is None or stdout is None:
        raise click.ClickException("stdin or stdout is closed: a host talks to this server over them")
    if stdin.isatty():
        # Whoever sits at a terminal is told what this is; a host never sees it.
        click.echo("Waiting for an MCP host on stdin; for a look at it, try: agentphone-mcp demo", err=True)
    # Python would wait for the thread that reads stdin, which a terminal never closes: Ctrl+C would do nothing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    cache = read_cache()
    surface = load(config.toolsets, read_only=config.read_only, cache=cache)
    if surface is None:
        return None
    try:
        wire = Wire(stdin, stdout)
    except OSError:
        return None
    stack.callback(wire.release)
    ahead = Forerunner(wire, EarlyAnswers(surface), partial(note_difference, cache))
    ahead.start()
    return ahead


def _serve_stdio(config: Config, board: "Switchboard", ahead: Forerunner | None) -> None:
    from agentphone_mcp.server import create_server
    from agentphone_mcp.serving import serve_stdio

    serve_stdio(create_server(config, board), ahead)


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
        import logging

        # The variables may be meant for other programs of this user, so it is no mistake.
        logging.getLogger(__name__).info("spans are not sent: %s; install agentphone-mcp[otel]", missing)
        return nullcontext()
    return sending_spans(exporter, cut)


def _checked(options: dict[str, Any]) -> Config:
    """Check every setting, without looking for what takes its time: the sandbox and the keychain."""
    auth = options["http_auth"] if options["transport"] != "stdio" else "none"
    is_sandbox = options["sandbox"]
    return Config(
        api_key=None if is_sandbox else read_key(os.environ),
        base_url=DEFAULT_BASE_URL if is_sandbox else options["base_url"],
        sub_account=(options["sub_account"] or "").strip() or None,
        toolsets=read_toolsets(options["toolsets"]),
        read_only=options["read_only"],
        timeout=options["timeout"],
        state=IN_MEMORY if is_sandbox and not options["state"] else read_state(options["state"] or ""),
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


def _with_account(config: Config, options: dict[str, Any], stack: ExitStack, warn: Callable[[str], None]) -> Config:
    """Add whose account it is, where the settings alone do not say so."""
    if options["sandbox"]:
        from agentphone_mcp.sandbox import running

        box = stack.enter_context(running(speed=options["sandbox_speed"]))
        return replace(config, api_key=ApiKey(box.key), base_url=box.url)
    if config.api_key is None and not config.relays and options["keychain"] == "on":
        return replace(config, api_key=_kept_key(config.base_url, warn))
    return config


def _kept_key(base_url: str, warn: Callable[[str], None]) -> ApiKey | None:
    """The key that `login` kept; a keychain that fails is no more than a warning, as a server starts without a key."""
    from agentphone_mcp.keychain import INSTEAD, NoKeychain, find

    read_session_bus(os.environ)
    try:
        return find(base_url)
    except NoKeychain as cannot:
        warn(f"no key was found in the keychain: {cannot}; run agentphone-mcp login and start again, or {INSTEAD}")
        return None

"""From the options of serving to a server that serves: settings checked first, the SDK imported last."""

import gc
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

import click

from agentphone_mcp.api.key import DEFAULT_BASE_URL, ApiKey
from agentphone_mcp.callers import OPERATOR, Scope, covered
from agentphone_mcp.config import (
    Config,
    ConfigError,
    complete_session_bus,
    read,
    read_cache,
    read_destinations,
    read_key,
    read_request_state_keys,
    read_span_exporter,
    read_state,
    read_toolsets,
)
from agentphone_mcp.forerunner.answers import EarlyAnswers
from agentphone_mcp.forerunner.descriptors import Wire
from agentphone_mcp.forerunner.session import Forerunner
from agentphone_mcp.forerunner.surface import Surface, load, note_difference
from agentphone_mcp.guard.books import IN_MEMORY
from agentphone_mcp.guard.limits import Limits
from agentphone_mcp.guard.rates import Rates

if TYPE_CHECKING:
    from agentphone_mcp.hosting.settings import HttpSettings
    from agentphone_mcp.known import Known
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
        # Until all is imported, whatever is made stays: looking for garbage among it takes a twentieth of a start.
        gc.disable()
        stack.callback(gc.enable)
        is_stdio = options["transport"] == "stdio"
        unheard: list[str] = []
        try:
            config = _checked(options)
            surfaces = _Surfaces(config)
            ahead = _run_ahead(surfaces, stdin, stdout, stack) if is_stdio else None
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
            _serve_stdio(config, board, surfaces, ahead)
        else:
            _serve_http(config, settings, board, surfaces, say)


class _Surfaces:
    """What servers with these settings say of themselves, as far as that is known before they are made."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cache = read_cache()
        self._loaded: dict[Scope, Surface | None] = {}

    def load(self, scope: Scope = OPERATOR.scope) -> Surface | None:
        """What one for callers of a scope says; None where that is not known for sure."""
        *_, most = covered(scope, read_only=self._config.read_only)
        # The first answers and the server must go by the same, so it is read once.
        if most not in self._loaded:
            self._loaded[most] = load(self._config.toolsets, most, cache=self._cache)
        return self._loaded[most]

    def known(self, scope: Scope = OPERATOR.scope) -> "Known | None":
        """The same for the server itself."""
        from agentphone_mcp.known import Known

        surface = self.load(scope)
        return surface and Known(surface, self.differs)

    def differs(self, method: str) -> None:
        """Have the next starts wait for the SDK, which answers otherwise."""
        note_difference(self._cache, method)


def _run_ahead(surfaces: _Surfaces, stdin: TextIO | None, stdout: TextIO | None, stack: ExitStack) -> Forerunner | None:
    """Answer the host's first questions from now on; None where it has to wait for the SDK."""
    if stdin is None or stdout is None:
        raise click.ClickException("stdin or stdout is closed: a host talks to this server over them")
    if stdin.isatty():
        # Whoever sits at a terminal is told what this is; a host never sees it.
        click.echo("Waiting for an MCP host on stdin; for a look at it, try: agentphone-mcp demo", err=True)
    # Python would wait for the thread that reads stdin, which a terminal never closes: Ctrl+C would do nothing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    surface = surfaces.load()
    if surface is None:
        return None
    try:
        wire = Wire(stdin, stdout)
    except OSError:
        return None
    stack.callback(wire.release)
    ahead = Forerunner(wire, EarlyAnswers(surface), surfaces.differs)
    ahead.start()
    return ahead


def _serve_stdio(config: Config, board: "Switchboard", surfaces: _Surfaces, ahead: Forerunner | None) -> None:
    from agentphone_mcp.server import create_server
    from agentphone_mcp.serving import serve_stdio

    server = create_server(config, board, known=surfaces.known())
    _collect_garbage()
    serve_stdio(server, ahead)


def _serve_http(
    config: Config, settings: "HttpSettings", board: "Switchboard", surfaces: _Surfaces, say: Callable[[str], None]
) -> None:
    from agentphone_mcp.hosting.serve import serve, web_server
    from agentphone_mcp.listening import CannotListen

    try:
        server = web_server(config, settings, board, surfaces.known)
        _collect_garbage()
        serve(server, settings, say)
    except ConfigError as wrong:
        raise click.UsageError(str(wrong)) from None
    except CannotListen as cannot:
        raise click.ClickException(str(cannot)) from None


def _collect_garbage() -> None:
    gc.freeze()
    gc.enable()


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

    complete_session_bus(os.environ)
    try:
        return find(base_url)
    except NoKeychain as cannot:
        warn(f"no key was found in the keychain: {cannot}; run agentphone-mcp login and start again, or {INSTEAD}")
        return None

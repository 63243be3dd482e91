"""Serve over stdio or HTTP: the settings are checked first, and the SDK is imported last."""

import gc
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

import click

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config, read_cache
from agentphone_mcp.config.environment import complete_session_bus, read_span_exporter
from agentphone_mcp.config.from_options import read_config, read_http_settings
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import OPERATOR, Scope, included_scopes
from agentphone_mcp.server.stdio.descriptors import StdioChannel
from agentphone_mcp.server.stdio.early_answers import PrecomputedAnswers
from agentphone_mcp.server.stdio.early_session import EarlySession
from agentphone_mcp.server.stdio.surface import Surface, load, note_difference

if TYPE_CHECKING:
    from agentphone_mcp.config.http import HttpSettings
    from agentphone_mcp.server.accounts import AccountPool
    from agentphone_mcp.server.stdio.precomputed import PrecomputedSurface


def run_server(options: dict[str, Any], stdin: TextIO | None, stdout: TextIO | None) -> None:
    """Serve until the host goes away or the process is told to stop; a stream is None if it is closed.

    Args:
        options: those of `agentphone_mcp.config.from_options.SETTINGS`, by name.

    Raises:
        click.ClickException: with one sentence, if a setting is wrong or nobody can be served.
    """
    with ExitStack() as stack:
        # Until all is imported, whatever is made stays: looking for garbage among it takes a twentieth of a start.
        gc.disable()
        stack.callback(gc.enable)
        warnings: list[str] = []
        try:
            config, settings = read_config(options, os.environ), read_http_settings(options)
            surfaces = _Surfaces(config)
            early_session = None if settings else _start_early_session(surfaces, stdin, stdout, stack)
            config = _with_account(config, options, stack, warnings.append)
            if settings:
                from agentphone_mcp.config.http import check_key

                check_key(config, settings)
        except ConfigError as exc:
            raise click.UsageError(str(exc)) from None
        # The SDK takes half a second to import: a wrong setting should not have to wait for it.
        import logging

        from agentphone_mcp.server.accounts import AccountPool
        from agentphone_mcp.server.logs import log_to_stderr

        accounts = AccountPool(config)
        say = log_to_stderr(options["log_level"].upper(), accounts.redact, options["log_format"])
        for warning in warnings:
            logging.getLogger(__name__).warning(warning)
        if exporter := read_span_exporter(os.environ):
            stack.enter_context(_sending_spans(exporter, accounts.redact))
        if settings is None:
            _serve_stdio(config, accounts, surfaces, early_session)
        else:
            _serve_http(config, settings, accounts, surfaces, say)


class _Surfaces:
    """Load the precomputed surfaces of servers with these settings, one for each scope."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cache = read_cache()
        self._loaded: dict[Scope, Surface | None] = {}

    def load(self, scope: Scope = OPERATOR.scope) -> Surface | None:
        """Load the surface for callers of a scope; None if it has to be made by the SDK."""
        *_, widest = included_scopes(scope, read_only=self._config.read_only)
        # The first answers and the server must go by the same, so it is read once.
        if widest not in self._loaded:
            self._loaded[widest] = load(self._config.toolsets, widest, cache=self._cache)
        return self._loaded[widest]

    def precomputed(self, scope: Scope = OPERATOR.scope) -> "PrecomputedSurface | None":
        """Load it as objects of the SDK, for the server itself."""
        from agentphone_mcp.server.stdio.precomputed import PrecomputedSurface

        surface = self.load(scope)
        return surface and PrecomputedSurface(surface, self.note_difference)

    def note_difference(self, method: str) -> None:
        """Have the next starts wait for the SDK, which answers differently."""
        note_difference(self._cache, method)


def _start_early_session(
    surfaces: _Surfaces, stdin: TextIO | None, stdout: TextIO | None, stack: ExitStack
) -> EarlySession | None:
    """Answer the host's first messages from now on; None if they have to wait for the SDK."""
    if stdin is None or stdout is None:
        raise click.ClickException("stdin or stdout is closed: a host talks to this server over them")
    if stdin.isatty():
        # A person at a terminal is told what this is; a host never sees it.
        click.echo("Waiting for an MCP host on stdin; for a look at it, try: agentphone-mcp demo", err=True)
    # Python would wait for the thread that reads stdin, which a terminal never closes: Ctrl+C would do nothing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    surface = surfaces.load()
    if surface is None:
        return None
    try:
        channel = StdioChannel(stdin, stdout)
    except OSError:
        return None
    stack.callback(channel.release)
    early_session = EarlySession(channel, PrecomputedAnswers(surface), surfaces.note_difference)
    early_session.start()
    return early_session


def _serve_stdio(
    config: Config, accounts: "AccountPool", surfaces: _Surfaces, early_session: EarlySession | None
) -> None:
    # The first answers are given before the SDK and its event loop are imported.
    import anyio

    from agentphone_mcp.server.server import create_server

    server = create_server(config, accounts, precomputed=surfaces.precomputed())
    _collect_garbage()
    try:
        anyio.run(server.run_over, early_session)
    except BaseExceptionGroup as exc:
        broken, others = exc.split(OSError)
        if broken is None or others:
            raise
        reason = getattr(broken.exceptions[0], "strerror", None) or "it was closed"
        raise click.ClickException(f"the connection to the host broke: {reason}") from None


def _serve_http(
    config: Config, settings: "HttpSettings", accounts: "AccountPool", surfaces: _Surfaces, say: Callable[[str], None]
) -> None:
    from agentphone_mcp.server.http.serve import serve, web_server
    from agentphone_mcp.system.sockets import CannotListen

    try:
        server = web_server(config, settings, accounts, surfaces.precomputed)
        _collect_garbage()
        serve(server, settings, say)
    except ConfigError as exc:
        raise click.UsageError(str(exc)) from None
    except CannotListen as exc:
        raise click.ClickException(str(exc)) from None


def _collect_garbage() -> None:
    gc.freeze()
    gc.enable()


def _sending_spans(exporter: str, redact: Callable[[str], str]) -> AbstractContextManager[None]:
    try:
        from agentphone_mcp.server.telemetry import sending_spans
    except ImportError as exc:
        import logging

        # The variables may be meant for other programs of this user, so it is no mistake.
        logging.getLogger(__name__).info("spans are not sent: %s; install agentphone-mcp[otel]", exc)
        return nullcontext()
    return sending_spans(exporter, redact)


def _with_account(config: Config, options: dict[str, Any], stack: ExitStack, warn: Callable[[str], None]) -> Config:
    """Add the key, and the sandbox's address, where the settings alone do not have them."""
    if options["sandbox"]:
        from agentphone_mcp.sandbox import running

        box = stack.enter_context(running(speed=options["sandbox_speed"]))
        return replace(config, api_key=ApiKey(box.key), base_url=box.url)
    if config.api_key is None and not config.uses_caller_keys and options["keychain"] == "on":
        return replace(config, api_key=_keychain_key(config.base_url, warn))
    return config


def _keychain_key(base_url: str, warn: Callable[[str], None]) -> ApiKey | None:
    """Find the key that `login` kept; a failing keychain is a warning, as a server starts without a key."""
    from agentphone_mcp.config.keychain import INSTEAD, NoKeychain, find

    complete_session_bus(os.environ)
    try:
        return find(base_url)
    except NoKeychain as exc:
        warn(f"no key was found in the keychain: {exc}; run agentphone-mcp login and start again, or {INSTEAD}")
        return None

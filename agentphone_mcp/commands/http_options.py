"""The options of a server that is reached over HTTP: flag, then environment, then default."""

import click

from agentphone_mcp.commands.option_types import PORT, Count, setting

HTTP_OPTIONS = [
    setting(
        "--host",
        default="127.0.0.1",
        envvar="AGENTPHONE_HOST",
        help="Where to listen; another address than loopback's needs --http-auth and --http-allowed-hosts.",
    ),
    setting(
        "--port",
        type=PORT,
        default=8000,
        envvar="AGENTPHONE_PORT",
        help="On which port; 0 takes any that is free.",
    ),
    setting(
        "--http-auth",
        type=click.Choice(["none", "token", "relay", "jwt"]),
        default="none",
        envvar="AGENTPHONE_HTTP_AUTH",
        help="Who may connect: bearers of a named token, of their own AgentPhone key, or of a JWT; none: this machine.",
    ),
    setting(
        "--http-tokens-file",
        default="",
        envvar="AGENTPHONE_HTTP_TOKENS_FILE",
        help="For token: what `agentphone-mcp token add` writes.",
    ),
    setting(
        "--http-jwt-issuer",
        default="",
        envvar="AGENTPHONE_HTTP_JWT_ISSUER",
        help="For jwt: the authorization server.",
    ),
    setting(
        "--http-jwks-url",
        default="",
        envvar="AGENTPHONE_HTTP_JWKS_URL",
        help="For jwt: where its keys are, if its metadata does not say so.",
    ),
    setting(
        "--http-resource-url",
        default="",
        envvar="AGENTPHONE_HTTP_RESOURCE_URL",
        help="For jwt: the address of /mcp as clients know it, which is the audience of their tokens.",
    ),
    setting(
        "--http-allowed-hosts",
        default="",
        envvar="AGENTPHONE_HTTP_ALLOWED_HOSTS",
        help="The names under which clients reach it, for example phone.example.com.",
    ),
    setting(
        "--http-allowed-origins",
        default="",
        envvar="AGENTPHONE_HTTP_ALLOWED_ORIGINS",
        help="Web pages that may use it, for example https://chat.example.com.",
    ),
    setting(
        "--http-max-sessions",
        type=Count(1),
        default=100,
        envvar="AGENTPHONE_HTTP_MAX_SESSIONS",
        help="How many sessions one caller may have.",
    ),
    setting(
        "--http-max-calls",
        type=Count(1),
        default=100,
        envvar="AGENTPHONE_HTTP_MAX_CALLS",
        help="How many requests of one caller may be under way.",
    ),
    setting(
        "--http-idle-timeout",
        type=Count(1, 86_400),
        default=1800,
        envvar="AGENTPHONE_HTTP_IDLE_TIMEOUT",
        help="Seconds after which a session that nobody uses ends.",
    ),
]

"""The options of a server that is reached over HTTP: flag, then environment, then default."""

import click

HTTP_OPTIONS = [
    click.option(
        "--host",
        default="127.0.0.1",
        envvar="AGENTPHONE_HOST",
        show_envvar=True,
        help="Where to listen; another address than loopback's needs --http-auth and --http-allowed-hosts.",
    ),
    click.option("--port", type=click.IntRange(0, 65535), default=8000, envvar="AGENTPHONE_PORT", show_envvar=True),
    click.option(
        "--http-auth",
        type=click.Choice(["none", "token", "relay", "jwt"]),
        default="none",
        envvar="AGENTPHONE_HTTP_AUTH",
        show_envvar=True,
        help="Who may connect: bearers of a named token, of their own AgentPhone key, or of a JWT; none: this machine.",
    ),
    click.option(
        "--http-tokens-file",
        default="",
        envvar="AGENTPHONE_HTTP_TOKENS_FILE",
        show_envvar=True,
        help="For token: what `agentphone-mcp token add` writes.",
    ),
    click.option(
        "--http-jwt-issuer",
        default="",
        envvar="AGENTPHONE_HTTP_JWT_ISSUER",
        show_envvar=True,
        help="For jwt: the authorization server.",
    ),
    click.option(
        "--http-jwks-url",
        default="",
        envvar="AGENTPHONE_HTTP_JWKS_URL",
        show_envvar=True,
        help="For jwt: where its keys are, if its metadata does not say so.",
    ),
    click.option(
        "--http-resource-url",
        default="",
        envvar="AGENTPHONE_HTTP_RESOURCE_URL",
        show_envvar=True,
        help="For jwt: the address of /mcp as clients know it, which is the audience of their tokens.",
    ),
    click.option(
        "--http-allowed-hosts",
        default="",
        envvar="AGENTPHONE_HTTP_ALLOWED_HOSTS",
        show_envvar=True,
        help="The names under which clients reach it, for example phone.example.com.",
    ),
    click.option(
        "--http-allowed-origins",
        default="",
        envvar="AGENTPHONE_HTTP_ALLOWED_ORIGINS",
        show_envvar=True,
        help="Web pages that may use it, for example https://chat.example.com.",
    ),
    click.option(
        "--http-max-sessions",
        type=click.IntRange(1),
        default=100,
        envvar="AGENTPHONE_HTTP_MAX_SESSIONS",
        show_envvar=True,
        help="How many sessions one caller may have.",
    ),
    click.option(
        "--http-max-calls",
        type=click.IntRange(1),
        default=100,
        envvar="AGENTPHONE_HTTP_MAX_CALLS",
        show_envvar=True,
        help="How many requests of one caller may be under way.",
    ),
    click.option(
        "--http-idle-timeout",
        type=click.IntRange(1, 86_400),
        default=1800,
        envvar="AGENTPHONE_HTTP_IDLE_TIMEOUT",
        show_envvar=True,
        help="Seconds after which a session that nobody uses ends.",
    ),
]

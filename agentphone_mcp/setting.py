"""An option of serving, and what the environment says of it."""

from functools import partial

import click

from agentphone_mcp.config import is_left_open


class Setting(click.Option):
    """An option whose variable may be there without a value, as hosts leave what their form was not told."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Read the variable; None if it says nothing."""
        value = super().resolve_envvar_value(ctx)
        return None if value is None or is_left_open(value) else value


setting = partial(click.option, cls=Setting, show_envvar=True)
"""As `click.option`, for a `Setting`."""

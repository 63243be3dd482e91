"""Make click options of the settings: flag, then environment, then default."""

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

from agentphone_mcp.commands.option_types import Amount, Count, EnvOption
from agentphone_mcp.config.from_options import SETTINGS
from agentphone_mcp.config.settings import Setting

Command = TypeVar("Command", bound=Callable[..., Any])


def setting_option(name: str) -> Callable[[Command], Command]:
    """Give a command the option of one setting of serving."""
    return _option(next(setting for setting in SETTINGS if setting.name == name))


def serving_options(command: Command) -> Command:
    """Give a command every option of serving, in the order of `SETTINGS`."""
    return reduce(lambda decorated, setting: _option(setting)(decorated), reversed(SETTINGS), command)


def _option(setting: Setting) -> Callable[[Command], Command]:
    return click.option(
        setting.flag,
        cls=EnvOption,
        type=_type(setting),
        is_flag=setting.default is False,
        default=setting.default,
        envvar=setting.variable,
        show_envvar=True,
        help=setting.help,
    )


def _type(setting: Setting) -> Any:
    if setting.choices:
        return click.Choice(setting.choices, case_sensitive=not setting.ignores_case)
    if setting.bounds:
        number: Any = Amount if isinstance(setting.default, float) else Count
        return number(*setting.bounds)
    return None

"""Declare settings: name, default, accepted values and help stand once, and options, variables and tables follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, TypeVarTuple

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")


class ConfigError(ValueError):
    """Report a wrong setting; the message is one sentence for the person who starts the server."""


@dataclass(frozen=True)
class Setting:
    """Describe one setting, as it can be given by a flag or an environment variable.

    Attributes:
        name: what the flag and the variable are derived from.
        default: the value without either; a bool makes a switch, an int or float a number, None means no value.
        help: one sentence for `--help`, and for the manifests.
        choices: the accepted words; empty for any text.
        bounds: the least and the greatest number, both accepted; None for no greatest one.
        ignores_case: whether the words may be written in either case.
    """

    name: str
    default: str | float | bool | None
    help: str
    choices: tuple[str, ...] = ()
    bounds: tuple[float, float | None] | None = None
    ignores_case: bool = False

    @property
    def flag(self) -> str:
        """Return the option on the command line, such as `--http-auth`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Return the environment variable, such as AGENTPHONE_HTTP_AUTH."""
        return f"AGENTPHONE_{self.name.upper()}"


def _unchanged(value: Any) -> Any:
    return value


def setting(
    name: str, default: str | float | bool | None, help_: str, *, read: Callable[[Any], Any] = _unchanged, **kind: Any
) -> Any:
    """Declare a dataclass field and the setting, as in `Setting`, that `read` makes it of, or raises ValueError."""
    return combined(Setting(name, default, help_, **kind), read=read)


def combined(*settings: Setting, read: Callable[..., Any]) -> Any:
    """Declare a dataclass field that `read` makes of several settings."""
    return field(
        default_factory=lambda: read(*(setting.default for setting in settings)),
        metadata={"settings": settings, "read": read},
    )


def settings_of(cls: type[Any]) -> tuple[Setting, ...]:
    """List the settings that the fields of a dataclass are read from."""
    return tuple(setting for field in fields(cls) for setting in field.metadata.get("settings", ()))


def read_fields(cls: type[Any], options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the fields of a dataclass that have settings, by their names, except those whose values are given.

    Raises:
        ConfigError: for the first that is wrong, with its variable.
    """
    values = dict(given)
    for each in fields(cls):
        if each.metadata and each.name not in given:
            settings: tuple[Setting, ...] = each.metadata["settings"]
            arguments = [options[setting.name] for setting in settings]
            try:
                values[each.name] = each.metadata["read"](*arguments)
            except ConfigError:
                raise
            except ValueError as exc:
                raise ConfigError(f"{settings[0].variable}: {exc}") from None
    return values


def read(variable: str, parse: Callable[[*Arguments], Value], *values: *Arguments) -> Value:
    """Read the value of a variable.

    Raises:
        ConfigError: with the variable.
    """
    try:
        return parse(*values)
    except ValueError as exc:
        raise ConfigError(f"{variable}: {exc}") from None

"""What a check found: how it stands, in one sentence, and what to do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warning", "failure", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at, in a word or two.
        status: `failure` for what does not work, `warning` for what will not go on working or only looks wrong.
        said: what was found, in a sentence without a full stop.
        remedy: what to do next, in one sentence; None where there is nothing to do.
        facts: the same for programs, such as `ms`; plain JSON values.
    """

    check: str
    status: Status
    said: str
    remedy: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


def ok(check: str, message: str, **facts: Any) -> Finding:
    """It is as it should be."""
    return Finding(check, "ok", message, facts=facts)


def warning(check: str, message: str, remedy: str, **facts: Any) -> Finding:
    """It works, and yet somebody should know."""
    return Finding(check, "warning", message, remedy, facts)


def failure(check: str, message: str, remedy: str, **facts: Any) -> Finding:
    """It does not work."""
    return Finding(check, "failure", message, remedy, facts)


def skipped(check: str, reason: str) -> Finding:
    """It was not looked at, and why."""
    return Finding(check, "skipped", reason)


def all_ok(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.status != "failure" for finding in findings)

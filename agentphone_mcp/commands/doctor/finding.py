"""Define the result of a check: a status, a sentence, and a remedy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "warning", "failure", "skipped"]


@dataclass(frozen=True)
class Finding:
    """Holds one line of the report.

    Attributes:
        check: the subject of the check, in a word or two.
        status: `failure` if something does not work, `warning` if it soon may not or only looks wrong.
        said: the result, in a sentence without a full stop.
        remedy: what to do next, in one sentence; None if nothing.
        facts: the result for programs, such as `ms`, as plain JSON values.
    """

    check: str
    status: Verdict
    said: str
    remedy: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


def ok(check: str, message: str, **facts: Any) -> Finding:
    """Report that a check passed."""
    return Finding(check, "ok", message, facts=facts)


def warning(check: str, message: str, remedy: str, **facts: Any) -> Finding:
    """Report something that works but needs attention."""
    return Finding(check, "warning", message, remedy, facts)


def failure(check: str, message: str, remedy: str, **facts: Any) -> Finding:
    """Report something that does not work."""
    return Finding(check, "failure", message, remedy, facts)


def skipped(check: str, reason: str) -> Finding:
    """Report why a check was not made."""
    return Finding(check, "skipped", reason)


def all_ok(findings: Iterable[Finding]) -> bool:
    """Tell whether no finding is a failure."""
    return all(finding.status != "failure" for finding in findings)

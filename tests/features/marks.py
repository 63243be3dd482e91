"""Compare marked texts although each answer has a code of its own."""

import json
import re
from typing import Any

from pydantic import BaseModel

from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.features.presentation.serialization import serialize
from agentphone_mcp.policy.untrusted import Marks

CODE = "------"
"""Stands in place of an answer's random code."""
_MARK = re.compile(r"(</?(?:untrusted|quoted) )([b-z2-9]{6})>")


def same_code(text: str) -> str:
    """Write an answer with a code that is known before, after checking that it has only one."""
    assert len({match[2] for match in _MARK.finditer(text)}) <= 1, text
    return _MARK.sub(rf"\1{CODE}>", text)


def mark(text: str, max_length: int = 4_000) -> str:
    """Write a stranger's text as it stands in an answer."""
    return same_code(Marks().mark(text, max_length))


def quote(text: str) -> str:
    """Write words of our own side as they stand in an answer."""
    return same_code(Marks().mark(text, name="quoted"))


def serialized(result: BaseModel, redact: Redactor = str) -> dict[str, Any]:
    """Serialize a result, with the code that is known before."""
    return json.loads(same_code(json.dumps(serialize(result, redact))))

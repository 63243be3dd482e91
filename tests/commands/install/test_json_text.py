"""JSON with comments is edited as text, and every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentphone_mcp.commands.install.documents import InvalidFile
from agentphone_mcp.commands.install.json_editor import EDITOR

TABLE, KEY = ("mcpServers",), "agentphone"
ENTRY = {"command": "uvx", "args": ["agentphone-mcp"]}
NAMES = st.text(alphabet='ab/*,:{}[]"\\é ☎', max_size=6).filter(lambda name: name not in (*TABLE, KEY))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES
BLANKS = ["", " ", "\n", "\t", "\r\n  ", ' // a remark, with { and "\n', "/* a\n * remark */", " /* , */ "]


FEWER = settings(max_examples=30)
"""Fewer examples than usual, because the parser json5 is slow."""


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """Write a value with blanks, comments and trailing commas anywhere."""

    def blank() -> str:
        return draw(st.sampled_from(BLANKS))

    def write(value: Any) -> str:
        if not isinstance(value, dict | list):
            return json.dumps(value, ensure_ascii=draw(st.booleans()))
        parts = [write(each) for each in value]
        if isinstance(value, dict):
            values = [write(each) for each in value.values()]
            parts = [f"{name}{blank()}:{blank()}{one}" for name, one in zip(parts, values, strict=True)]
        inside = ",".join(f"{blank()}{part}{blank()}" for part in parts) or blank()
        comma = "," if parts and draw(st.booleans()) else ""
        first, last = ("{", "}") if isinstance(value, dict) else ("[", "]")
        return f"{first}{inside}{comma}{blank()}{last}"

    return f"{blank()}{write(value)}{blank()}"


DOCUMENTS = st.dictionaries(
    NAMES, st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
)


@FEWER
@given(data=st.data(), before=DOCUMENTS, servers=st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3))
def test_what_was_put_in_comes_out_and_leaves_every_byte(
    data: st.DataObject, before: dict[str, Any], servers: dict[str, Any]
) -> None:
    document = before | {TABLE[0]: servers}
    text = data.draw(written(document))
    put = EDITOR.put(text, TABLE, KEY, ENTRY)
    assert EDITOR.parse(put) == before | {TABLE[0]: servers | {KEY: ENTRY}}
    assert is_one_piece_more(put, text)
    assert EDITOR.remove(put, TABLE, KEY, drop_empty=False) == text


@FEWER
@given(data=st.data(), before=DOCUMENTS)
def test_a_table_that_is_not_there_is_made(data: st.DataObject, before: dict[str, Any]) -> None:
    text = data.draw(written(before))
    put = EDITOR.put(text, TABLE, KEY, ENTRY)
    assert EDITOR.parse(put) == before | {TABLE[0]: {KEY: ENTRY}}
    removed = EDITOR.remove(put, TABLE, KEY, drop_empty=True)
    assert EDITOR.parse(removed) == before
    assert removed == text or not before


@FEWER
@given(data=st.data(), before=DOCUMENTS, old=LEAVES)
def test_an_entry_is_replaced_where_it_stands(data: st.DataObject, before: dict[str, Any], old: Any) -> None:
    text = data.draw(written({TABLE[0]: {KEY: old} | before}))
    put = EDITOR.put(text, TABLE, KEY, ENTRY)
    assert EDITOR.parse(put) == {TABLE[0]: {KEY: ENTRY} | before}
    assert EDITOR.put(put, TABLE, KEY, ENTRY) == put


def is_one_piece_more(longer: str, shorter: str) -> bool:
    """Tell whether the longer text is the shorter one with one piece inserted."""
    at = next((at for at, pair in enumerate(zip(longer, shorter, strict=False)) if pair[0] != pair[1]), len(shorter))
    return any(longer.startswith(shorter[:split]) and longer.endswith(shorter[split:]) for split in range(at, -1, -1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3: expecting ',' delimiter", id="no-comma"),
        pytest.param('{ // "a": 1\n "b": }', "line 2, column 7: expecting value", id="no-value"),
        pytest.param('{"a": 1', "line 1, column 8: expecting ',' delimiter", id="no-end"),
        pytest.param("{'a': 1}", "line 1, column 2", id="single-quotes"),
        pytest.param('{"a": 1} }', "line 1, column 10: extra data", id="too-much"),
        pytest.param("[]", "line 1, column 1: it is not an object in braces", id="list"),
        pytest.param("{,}", "has to be changed by hand", id="lone-comma"),
        pytest.param('{"mcpServers": [1]}', "mcpServers is no table of names", id="no-table"),
        pytest.param("[" * 100_000, "nested too deep", id="deep"),
    ],
)
def test_a_broken_text_is_named_by_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidFile, match=message):
        EDITOR.put(text, TABLE, KEY, ENTRY)

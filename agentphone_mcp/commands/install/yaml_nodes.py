"""Locate nodes in a YAML text by ruamel.yaml, whose types are not declared."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from agentphone_mcp.commands.install.documents import Document, InvalidFile
from agentphone_mcp.commands.install.entries import HostEntry

_NEVER_FOLDED = 1_000_000


@dataclass(frozen=True)
class Node:
    """Locates a value in the text.

    Attributes:
        start: the offset of its first character.
        end: the offset behind its last scalar; the parser's own end is where the next node begins.
        column: the indentation of its names, if it is a mapping.
        members: its names and values; None if it is not a mapping.
        is_flow: whether it is written in brackets or braces.
    """

    start: int
    end: int
    column: int
    members: "list[tuple[Name, Node]] | None"
    is_flow: bool


@dataclass(frozen=True)
class Name:
    """Locates the name of a member in the text."""

    text: str
    start: int
    end: int


def load(text: str) -> Document:
    """Read a document; an empty one is no mistake.

    Raises:
        InvalidFile: with line and column, if it is not YAML, or not a mapping.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document: object = _yaml().load(text)
    except MarkedYAMLError as exc:
        wrong: Any = exc
        why = str(wrong.problem or "it is not YAML").splitlines()[0]
        mark = wrong.problem_mark
        raise (InvalidFile.at(mark.line + 1, mark.column + 1, why) if mark else InvalidFile(why)) from None
    except (YAMLError, ValueError, RecursionError):
        raise InvalidFile("it is not YAML") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidFile.at(1, 1, "it is not a mapping of names")
    return cast("Document", document)


def root_of(text: str) -> Node | None:
    """Return the root node of a text that `load` accepts; None if it is empty."""
    node = _yaml().compose(text)
    return _node(node) if node is not None else None


def dump(value: HostEntry) -> str:
    """Write a value in block style, as Goose does."""
    yaml = _yaml()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = _NEVER_FOLDED
    yaml.indent(mapping=2, sequence=2, offset=0)
    written = io.StringIO()
    yaml.dump(value, written)
    return written.getvalue()


def _yaml() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _node(node: Any) -> Node:
    from ruamel.yaml.nodes import MappingNode

    is_flow = bool(getattr(node, "flow_style", False))
    end = max(_ends(node), default=node.start_mark.index)
    if not isinstance(node, MappingNode):
        return Node(node.start_mark.index, end, 0, None, is_flow)
    pairs: list[tuple[Any, Any]] = cast("Any", node).value
    members = [
        (Name(str(name.value), name.start_mark.index, name.end_mark.index), _node(value)) for name, value in pairs
    ]
    column = pairs[0][0].start_mark.column if pairs else 0
    return Node(cast("Any", node).start_mark.index, end, column, members, is_flow)


def _ends(node: Any) -> Iterator[int]:
    from ruamel.yaml.nodes import ScalarNode

    if isinstance(node, ScalarNode) or node.flow_style:
        yield cast("Any", node).end_mark.index
        return
    for child in node.value:
        for each in cast("tuple[Any, ...]", child if isinstance(child, tuple) else (child,)):
            yield from _ends(each)

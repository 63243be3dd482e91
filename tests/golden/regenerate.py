"""Writes anew what is derived from the tools, for review: `python tests/golden/regenerate.py`.

tools.json is the whole surface that models and hosts see; the README has tables of the tools and the sandbox's callees.
"""

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).with_name("tools.json")
README = ROOT / "README.md"
sys.path.append(str(ROOT))

from manifests.source.marked import replaced  # noqa: E402 - found by the line above


def surface() -> str:
    """All tools in their order, as pretty JSON."""
    from agentphone_mcp.config import Config
    from agentphone_mcp.server import create_server

    tools = asyncio.run(create_server(Config()).list_tools())
    shown = [
        tool.model_dump(
            mode="json",
            by_alias=True,
            exclude_none=True,
            include={"name", "description", "input_schema", "output_schema", "annotations"},
        )
        for tool in tools
    ]
    return json.dumps(shown, ensure_ascii=False, indent=2) + "\n"


def readme() -> str:
    """The README with its tables as they should be."""
    from agentphone_mcp.sandbox import callees
    from agentphone_mcp.tools.catalog import CATALOG

    tools = ["| toolset | tools |", "|---|---|"]
    tools += [
        f"| {name} | {', '.join(f'`{tool.name}` {tool.mark}'.strip() for tool in declared)} |"
        for name, declared in CATALOG.items()
    ]
    people = [line for line in (callees.__doc__ or "").splitlines() if line.startswith("|")]
    text = README.read_text(encoding="utf-8")
    for part, lines in {"tools": tools, "callees": people}.items():
        text = replaced(text, part, lines)
    return text


if __name__ == "__main__":
    GOLDEN.write_text(surface(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")

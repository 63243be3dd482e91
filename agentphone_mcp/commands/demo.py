"""Show in a terminal what an assistant does with a phone, through a real MCP client."""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent
from rich.console import Console
from rich.markup import escape

import agentphone_mcp
from agentphone_mcp.policy.untrusted import without_marks

# A call of half a minute then takes about four seconds: long enough to be read as it is spoken.
_SPEED = "8"
_RESTAURANT = "+14155559999"
_PROMPT = "Reserve a table for two at seven this evening, in the name of Byron."


class StepFailed(Exception):
    """Report that a step of the demo gave an unexpected result."""


def run_demo(*, server_options: Sequence[str] = ("--sandbox", "--sandbox-speed", _SPEED)) -> int:
    """Show the demo on a server with these options; returns 0, or 1 when any step did not do what it says."""
    console = Console(highlight=False)
    try:
        anyio.run(_show, console, server_options)
    except (Exception, BaseExceptionGroup) as exc:  # noqa: BLE001 - whatever it is, the demo did not do what it says
        cause = _first_cause(exc)
        if not isinstance(cause, Exception):
            raise cause from None  # Ctrl+C, or a reader such as `head` that has seen enough
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(cause) or type(cause).__name__)}")
        return 1
    return 0


async def _show(console: Console, server_options: Sequence[str]) -> None:
    console.print("[bold]A telephone for an AI assistant[/]")
    console.print("What follows runs on a make-believe account: nothing is spent, nobody is rung.")
    # Started from elsewhere, it would take a `mcp.py` that lies there for the package.
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "agentphone_mcp", *server_options],
        cwd=Path(agentphone_mcp.__file__).parents[1],
    )
    async with Client(stdio_client(server)) as client:
        tools = (await client.list_tools()).tools
        console.print(f"A script plays the assistant; it is connected and found {len(tools)} tools.")
        await Story(client, console).tell()


class Story:
    """Run one scripted conversation, and print each request and result."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console

    async def tell(self) -> None:
        """Run all steps in order.

        Raises:
            StepFailed: when a step did not do what it says.
        """
        await self._overview()
        agent_id = await self._agent()
        await self._refused_purchase(agent_id)
        await self._purchase(agent_id)
        await self._call(agent_id)
        await self._usage()
        self._console.print("\n[bold]That was it.[/] The README shows how to give this to your own assistant;")
        self._console.print("with --sandbox it stays make-believe.")

    async def _overview(self) -> None:
        self._person("What is on my telephone account?")
        seen = await self._use("account_overview")
        agents = [agent["name"] for agent in seen["agents"]["data"]]
        numbers = [dict(zip(seen["numbers"]["columns"], row, strict=True)) for row in seen["numbers"]["rows"]]
        _expect((len(agents), len(numbers)) == (2, 1), "there are two agents and one number")
        self._assistant(f"Two agents ({', '.join(agents)}) and one phone number, {numbers[0]['phone_number']}.")

    async def _agent(self) -> str:
        self._person("Make me an agent that reserves tables.")
        made = await self._use(
            "create_agent",
            name="Table Booker",
            voice_mode="hosted",
            system_prompt="You reserve tables at restaurants. Be brief and friendly, and repeat what was agreed.",
            begin_message="I am calling for a guest.",
        )
        _expect(made["agent"]["name"] == "Table Booker", "the agent has its name")
        self._assistant(f"{made['agent']['name']} is ready. It still needs a phone number.")
        return made["agent"]["id"]

    async def _refused_purchase(self, agent_id: str) -> None:
        self._person("It needs a San Francisco number.")
        before = await self._use("list_numbers", quietly=True)
        preview = await self._use("buy_number", area_code="415", agent_id=agent_id)
        after = await self._use("list_numbers", quietly=True)
        _expect(preview["status"] == "needs_confirmation", "a purchase waits for a yes")
        _expect(before == after, "nothing was bought without a yes")
        self._assistant(f"That costs money, so nothing was bought yet. {preview['what']} Shall I?")

    async def _purchase(self, agent_id: str) -> None:
        self._person("Yes, buy it.")
        bought = await self._use("buy_number", area_code="415", agent_id=agent_id, confirm=True)
        _expect(bought["status"] == "done", "the purchase went through")
        self._assistant(f"The number is {bought['result']['phone_number']}.")

    async def _call(self, agent_id: str) -> None:
        self._person(f"Call {_RESTAURANT} and reserve a table for two at seven.")
        call: dict[str, Any] = {"agent_id": agent_id, "to_number": _RESTAURANT, "prompt": _PROMPT}
        preview = await self._use("place_call", **call)
        _expect(preview["status"] == "needs_confirmation", "a call waits for a yes")
        self._assistant(f"{preview['what']} Shall I?")
        self._person("Yes.")
        placed = await self._use("place_call", **call, confirm=True)
        _expect(placed["status"] == "done", "the call was accepted")
        self._assistant("The call is placed. This is what is being said, as it is said:")
        heard = await self._use("wait_for_call", call_id=placed["result"]["id"])
        _expect(heard["ended"] and heard["status"] == "completed", "the call was followed to its end")
        _expect(len(heard["turns"]) >= 4, "both sides spoke")
        self._assistant(f"The call ended after {heard['duration_seconds']:.0f} seconds.")

    async def _usage(self) -> None:
        self._person("What did we use?")
        used = await self._use("get_usage")
        _expect(used["numbers_used"] == 2 and used["calls"]["24h"] == 1, "the usage counts what was done")
        self._assistant(f"Today: one call. Phone numbers: {used['numbers_used']} of {used['limits']['numbers']}.")

    async def _use(self, tool: str, *, quietly: bool = False, **arguments: Any) -> dict[str, Any]:
        if not quietly:
            given = ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
            self._line("  uses ", f"{tool}({given})", style="dim")
        result = await self._client.call_tool(tool, arguments, progress_callback=self._spoken)
        if result.is_error or result.structured_content is None:
            raise StepFailed(f"{tool} answered: {_text(result)}")
        return result.structured_content

    async def _spoken(self, progress: float, total: float | None, message: str | None) -> None:
        who, _, marked = (message or "").partition(": ")
        # The mark is for models; a person sees by the label who speaks.
        words = without_marks(marked)
        self._line("      agent       " if who == "agent" else "      restaurant  ", words, style="cyan")

    def _person(self, words: str) -> None:
        self._console.print()
        self._line("You: ", words, style="bold")

    def _assistant(self, words: str) -> None:
        self._line("Assistant: ", words, style="green")

    def _line(self, label: str, words: str, *, style: str) -> None:
        """Print a labelled paragraph whose further lines stand below its first."""
        width = min(self._console.width, 100) if self._console.is_terminal else 100
        first, *others = textwrap.wrap(words, width - len(label)) or [""]
        self._console.print(f"[{style}]{escape(label)}[/]{escape(first)}", soft_wrap=True)
        for other in others:
            self._console.print(" " * len(label) + escape(other), soft_wrap=True)


def _short(value: object) -> str:
    """Show an argument as the assistant gives it, long texts by their beginning."""
    text = value if isinstance(value, str) else str(value).lower()
    shown = text if len(text) <= 32 else f"{text[:30].rstrip()}..."
    return f'"{shown}"' if isinstance(value, str) else shown


def _expect(held: object, what: str) -> None:
    if not held:
        raise StepFailed(f"it is not true that {what}")


def _text(result: CallToolResult) -> str:
    return " ".join(block.text for block in result.content if isinstance(block, TextContent))


def _first_cause(failure: BaseException) -> BaseException:
    if isinstance(failure, BaseExceptionGroup):
        return _first_cause(cast("BaseExceptionGroup[BaseException]", failure).exceptions[0])
    return failure

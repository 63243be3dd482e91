"""Draw the README's pictures: `python .github/images/draw.py`, with the package installed and Chromium on the PATH.

demo-light.svg and demo-dark.svg show the demo as a terminal prints it; sandbox-light.png and sandbox-dark.png show the
sandbox's page while a call goes on.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.terminal_theme import MONOKAI, TerminalTheme
from rich.text import Text

from agentphone_mcp.sandbox import Sandbox, running

HERE = Path(__file__).parent
sys.path.append(str(HERE.parents[1]))

from tests.browser import PROGRAM, browsing  # noqa: E402 - found by the line above

COLUMNS = 100
FIRST, LAST = "You: It needs a San Francisco number.", "      restaurant  Yes, that works for me."
"""The lines of the demo that are shown: a purchase that waits for a yes, and a call as it is spoken."""
LIGHT = TerminalTheme(
    (255, 255, 255),
    (31, 35, 40),
    [
        (31, 35, 40),
        (207, 34, 46),
        (17, 99, 41),
        (125, 78, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (89, 99, 110),
    ],
)
SECONDS_TO_START = 15.0


def draw_demo() -> None:
    """Run the demo and write what it prints as SVG, in both themes."""
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    ran = subprocess.run(
        [sys.executable, "-m", "agentphone_mcp", "demo"], env=environment, capture_output=True, text=True, check=True
    )
    lines = [Text.from_ansi(line) for line in ran.stdout.splitlines()]
    plain = [line.plain for line in lines]
    shown = lines[plain.index(FIRST) : plain.index(LAST) + 1]
    for scheme, theme in {"light": LIGHT, "dark": MONOKAI}.items():
        console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        console.print(Text("\n").join(shown))
        console.save_svg(str(HERE / f"demo-{scheme}.svg"), title="agentphone-mcp demo", theme=theme)


def draw_sandbox() -> None:
    """Write the sandbox's page as PNG, in both color schemes.

    Raises:
        SystemExit: if there is no Chromium.
    """
    if PROGRAM is None:
        sys.exit("no Chromium was found: it takes the picture of the sandbox's page")
    for scheme in ("light", "dark"):
        with running(speed=2) as sandbox, tempfile.TemporaryDirectory() as profile:
            start_call(sandbox)
            with browsing(PROGRAM, Path(profile)) as tab:
                tab.resize(1200, 760)
                tab.prefer(scheme)
                tab.open(sandbox.page_url)
                tab.picture(HERE / f"sandbox-{scheme}.png")


def start_call(sandbox: Sandbox) -> None:
    """Send a text, place a call, and wait until both sides have spoken."""
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as api:
        number, agent = (api.get(f"/v1/{kind}").json()["data"][0]["id"] for kind in ("numbers", "agents"))
        text = {"number_id": number, "to_number": "+14155559999", "body": "Your table for two is booked for seven."}
        api.post("/v1/messages", json=text).raise_for_status()
        placed = api.post(
            "/v1/calls",
            json={
                "agentId": agent,
                "toNumber": "+14155559999",
                "systemPrompt": "Reserve a table for two at seven this evening, in the name of Byron.",
            },
        )
        placed.raise_for_status()
        give_up_at = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < give_up_at:
            if len(api.get(f"/v1/calls/{placed.json()['id']}").json()["transcripts"]) > 1:
                return
            time.sleep(0.1)


if __name__ == "__main__":
    draw_demo()
    draw_sandbox()

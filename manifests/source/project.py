"""Read the project's metadata from pyproject.toml and the package."""

import tomllib
from pathlib import Path

from agentphone_mcp import __version__

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
README = ROOT / "README.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME, TITLE, VERSION = PROJECT["name"], "AgentPhone", __version__
DESCRIPTION = PROJECT["description"]
"""At most 100 characters long, as the registry requires."""

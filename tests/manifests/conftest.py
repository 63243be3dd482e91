"""Provide the manifests as generated, and as they are in the repository."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

MANIFESTS = ROOT / "manifests"


@pytest.fixture(scope="session")
def generated() -> dict[Path, str]:
    """Return every generated file with the text that it should have."""
    return runpy.run_path(str(MANIFESTS / "regenerate.py"))["everything"]()


@pytest.fixture(scope="session")
def manifest() -> Callable[[str], dict[str, Any]]:
    """Read a manifest by its path within the folder."""
    return lambda path: json.loads((MANIFESTS / path).read_text(encoding="utf-8"))

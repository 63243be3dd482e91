"""Provide the file of the tokens, missing or written by hand."""

from pathlib import Path

import pytest

from tests.commands.token.tokens import WRITTEN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the file of the tokens; it is not there yet."""
    return tmp_path / "tokens.toml"


@pytest.fixture
def written(path: Path) -> Path:
    """Write a file as a person would."""
    path.write_text(WRITTEN, encoding="utf-8", newline="")
    return path

"""Private files are made where nobody else may change them, and nothing else is changed."""

import os
import stat
from pathlib import Path

import pytest

from agentphone_mcp.system import state_files
from agentphone_mcp.system.state_files import (
    UnsafeState,
    check_private_folder,
    close_to_others,
    make_private_file,
    make_private_folder,
    open_unlinked,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such modes")
CHANGED = "the mode of what is not ours is changed"


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_missing_folders_are_made_for_the_owner_alone(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    assert {mode(tmp_path / "a"), mode(tmp_path / "a" / "b")} == {0o700}
    make_private_folder(tmp_path / "a" / "b")


@pytest.mark.attack("9", "a folder that others can write holds the ledger")
def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if tmp_path.stat().st_uid == 0:
        # What belongs to root is only root's to change.
        os.chown(tmp_path, 4_321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(UnsafeState, match="belongs to another user"):
        check_private_folder(tmp_path)


@pytest.mark.attack("9", "a folder that others can write holds the ledger")
@pytest.mark.parametrize("is_mine", [True, False], ids=["of-this-user-alone", "of-several"])
def test_a_group_may_write_only_if_it_has_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mine: bool
) -> None:
    """Many systems give every user such a group, and let it write."""
    monkeypatch.setattr(state_files, "_is_my_own_group", lambda _: is_mine)
    tmp_path.chmod(0o770)
    if is_mine:
        check_private_folder(tmp_path)
    else:
        with pytest.raises(UnsafeState, match="chmod go-w mends"):
            check_private_folder(tmp_path)


@pytest.mark.attack("9", CHANGED)
def test_a_file_with_a_second_name_keeps_its_mode(tmp_path: Path) -> None:
    """It may be any other file of this user, which was given the ledger's name."""
    other, file = tmp_path / "other", tmp_path / "file"
    other.write_text("")
    other.chmod(0o644)
    file.hardlink_to(other)
    make_private_file(file)
    assert mode(other) == 0o644
    file.unlink()
    make_private_file(file)
    assert mode(file) == 0o600


@pytest.mark.attack("9", CHANGED)
def test_what_a_link_leads_to_keeps_its_mode(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("")
    other.chmod(0o644)
    (tmp_path / "link").symlink_to(other)
    for touch in (make_private_file, close_to_others):
        with pytest.raises(UnsafeState, match="is a link"):
            touch(tmp_path / "link")
    with pytest.raises(OSError, match="symbolic"), open(tmp_path / "link", "w", opener=open_unlinked):
        pass
    assert mode(other) == 0o644

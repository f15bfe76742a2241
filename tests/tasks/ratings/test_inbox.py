"""Which exports in an inbox are complete, and where they go."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from configs.errors import InputError
from tasks.ratings.landing.inbox import DONE, REFUSED, put_away, waiting


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder export `spring`, a file export `summer.csv`, and what an inbox also holds."""
    for name in ("spring/ratings.csv", "summer.csv", "done/old/ratings.csv", "refused/odd.csv", ".sweep.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a,b\n")
    return tmp_path


def names(inbox: Path, quiet_seconds: float = 0) -> list[str]:
    return [path.name for path in waiting(inbox, quiet_seconds)]


def test_files_and_folders_wait_and_what_was_read_does_not(inbox: Path) -> None:
    assert sorted(names(inbox)) == ["spring", "summer.csv"]


def test_what_has_just_changed_is_left_alone(inbox: Path) -> None:
    assert names(inbox, quiet_seconds=60) == []


def test_an_old_date_does_not_make_a_file_complete(inbox: Path) -> None:
    os.utime(inbox / "summer.csv", (0, 0))  # as `cp --preserve` does before and after it writes
    assert names(inbox, quiet_seconds=60) == []


@pytest.mark.parametrize("name", ["autumn.csv.part", ".autumn.csv", "winter/ratings.csv.part"])
def test_what_is_on_its_way_is_left_alone(inbox: Path, name: str) -> None:
    (inbox / name).parent.mkdir(exist_ok=True)
    (inbox / name).write_text("a,b\n")
    assert sorted(names(inbox)) == ["spring", "summer.csv"]


def test_a_desktops_hidden_file_does_not_hold_an_export_up(inbox: Path) -> None:
    (inbox / "spring" / ".DS_Store").write_text("")
    assert "spring" in names(inbox)


def test_an_empty_folder_is_not_complete(inbox: Path) -> None:
    (inbox / "winter").mkdir()
    assert "winter" not in names(inbox)


def test_the_one_that_came_first_is_first(inbox: Path) -> None:
    time.sleep(0.05)
    (inbox / "spring" / "more.csv").write_text("a,b\n")
    assert names(inbox) == ["summer.csv", "spring"]


def test_an_export_is_put_away_with_the_reason_beside_it(inbox: Path) -> None:
    moved = put_away(inbox / "summer.csv", REFUSED, "row 2: no")
    assert moved == inbox / "refused" / "summer.csv"
    assert moved.read_text() == "a,b\n"
    assert (inbox / "refused" / "summer.csv.txt").read_text() == "row 2: no\n"
    assert names(inbox) == ["spring"]


def test_a_name_that_was_used_before_gets_a_number(inbox: Path) -> None:
    for expected in ("spring", "spring-2", "spring-3"):
        (inbox / "spring").mkdir(exist_ok=True)
        assert put_away(inbox / "spring", DONE, "").name == expected


def test_a_link_waits_as_itself_and_is_moved_as_itself(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "ratings.csv").write_text("a,b\n")
    for name, target in (("folder", outside), ("file.csv", outside / "ratings.csv"), ("gone.csv", outside / "gone")):
        (inbox / name).symlink_to(target)
    assert {"folder", "file.csv", "gone.csv"} <= set(names(inbox))
    for name in ("folder", "file.csv", "gone.csv"):
        assert put_away(inbox / name, REFUSED, "a link").is_symlink()
    (inbox / "gone.csv").symlink_to(outside / "gone")
    assert put_away(inbox / "gone.csv", REFUSED, "a link").name == "gone-2.csv"
    assert [path.name for path in outside.iterdir()] == ["ratings.csv"]


def test_what_was_read_is_not_moved_through_a_link(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (inbox / "done").rename(outside / "done")
    (inbox / "done").symlink_to(outside)
    with pytest.raises(InputError, match="done: a link, which is not followed"):
        put_away(inbox / "spring", DONE, "")
    assert (inbox / "spring").exists()

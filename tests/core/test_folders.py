"""What is known of a folder from its index alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelwright.core.errors import Invalid
from modelwright.core.folders import Index, Remembered, Standing, glance, scan


def index_of(folder: Path, *, sure: bool = True, whole: str = "dataset:a@1") -> Index:
    files = {path: Remembered(seen, path.encode(), sure) for path, seen in scan(folder).items()}
    executable = [path for path, each in files.items() if each.seen.executable]
    put = {path: each.digest for path, each in files.items()}
    return Index(folder=str(folder), ref="dataset:a@1", whole=whole, files=files, put=put, executable=executable)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("a", "b/c", "b/ü: d"):
        (tmp_path / "it" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "it" / path).write_text(path)
    (tmp_path / "it" / "a").chmod(0o755)
    return tmp_path / "it"


def test_a_folder_that_is_as_it_was_is_told_without_reading(folder: Path) -> None:
    index = index_of(folder)
    assert glance(index) == Standing(ref="dataset:a@1", folder=str(folder), same=3)


def test_what_came_and_what_went_is_told_too(folder: Path) -> None:
    index = index_of(folder)
    (folder / "b" / "c").unlink()
    (folder / "new").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("x")
    found = glance(index)
    assert found is not None
    assert (found.added, found.removed, found.changed, found.same) == (["new"], ["b/c"], [], 2)


def test_a_file_that_was_known_with_other_content_is_changed(folder: Path) -> None:
    index = index_of(folder)
    index.put["b/c"] = b"another"
    index.executable = []
    found = glance(index)
    assert found is not None
    assert (found.changed, found.same) == (["a", "b/c"], 1)


@pytest.mark.parametrize("how", ["touched", "unsure", "partial", "nameless"])
def test_what_cannot_be_told_so_is_not(folder: Path, how: str) -> None:
    index = index_of(folder, sure=how != "unsure", whole="" if how == "partial" else "dataset:a@1")
    if how == "touched":
        os.utime(folder / "a", ns=(1, 1))
    if how == "nameless":
        index.ref = index.whole = ""
    assert glance(index) is None


def test_links_and_names_that_no_version_holds_are_refused(folder: Path) -> None:
    (folder / "link").symlink_to("a")
    with pytest.raises(Invalid, match="symbolic link"):
        scan(folder)
    (folder / "link").unlink()
    (folder / "back\\slash").write_text("x")
    with pytest.raises(Invalid, match="no name for a file"):
        scan(folder)

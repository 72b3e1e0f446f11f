"""The paths of a package: what leads out of a folder, or is two files in one, is never written."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from modelwright.core.errors import Invalid
from modelwright.models.files import DEEPEST, LONGEST, MOST, check_paths, write_folder
from modelwright.models.scan import scan_file

HOSTILE = [
    "", "/etc/passwd", "//server/share", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "..\\x", "C:\\x", "C:x",
    "file:x", "a/\x00", "a\n", "a\u202eb", "\ufeffa", "\uff0e\uff0e/x", "a\uff0fb", "\u2025/x", "\ud800", "a ", " a", "a.",
    "nul", "COM1.txt", "x" * (LONGEST + 1), "/".join("a" * (DEEPEST + 1)),
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_leads_elsewhere_on_any_system_is_refused_before_anything_is_written(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    with pytest.raises(Invalid):
        write_folder(folder, {"model.bin": b"x", path: b"x"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("paths", [["a", "A"], ["a", "a/b"], ["\u00e9", "e\u0301"], ["x/stra\u00dfe", "X/strasse"]])
def test_two_paths_that_are_one_file_somewhere_are_refused(paths: list[str]) -> None:
    check_paths(paths[:1])
    with pytest.raises(Invalid):
        check_paths(paths)


def test_a_package_of_too_many_files_is_refused() -> None:
    with pytest.raises(Invalid, match="at most"):
        check_paths(str(number) for number in range(MOST + 1))


def test_nothing_that_is_there_is_written_over_or_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"kept")
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.bin").symlink_to(tmp_path / "outside")
    (folder / "dangling").symlink_to(tmp_path / "new")
    for name in ("model.bin", "dangling"):
        with pytest.raises(FileExistsError):
            write_folder(folder, {name: b"x"})
    assert (tmp_path / "outside").read_bytes() == b"kept" and not (tmp_path / "new").exists()


def test_a_hostile_archive_is_looked_into_and_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("../above", "/absolute", "twice", "C:\\x"):
            archive.writestr(name, b"text")
        archive.writestr(link, b"/etc/passwd")
    assert scan_file("model.pt", sink.getvalue()).findings == []  # no code in it, and nobody ever unpacks it
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("members", "each"), [(1, 2**31 - 1), (64, 2**29)])
def test_a_bomb_is_told_by_what_it_says_of_itself_and_not_unpacked(members: int, each: int) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(members):
            archive.writestr(f"zeros{number}", bytes(1000))
    bomb = re.sub(  # each member's size in the directory, which is what whoever reads it goes by
        rb"(PK\x01\x02.{20}).{4}", lambda found: found[1] + each.to_bytes(4, "little"), sink.getvalue(), flags=re.DOTALL
    )
    scan = scan_file("model.pt", bomb)
    assert scan.pickles == ["model.pt"]
    assert [finding.why for finding in scan.findings] == ["is an archive of more than anybody can look at"]

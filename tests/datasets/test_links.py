"""Checkouts that share files, small ones too, and what may be in the way of that."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelwright.core.errors import Invalid


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def pictures(tmp_path) -> Path:
    made = random.Random(0)
    files = {f"{kind}/{number:03}.png": made.randbytes(1000) for kind in ("cats", "dogs") for number in range(100)}
    for path, content in (files | {"labels.csv": b"a,b\n", "empty": b"", "film.bin": made.randbytes(3 << 20)}).items():
        (tmp_path / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / path).write_bytes(content)
    return tmp_path / "pictures"


def test_with_links_small_files_are_shared_too(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    shared = []
    for place in ("one", "two"):
        done = embedded.datasets.checkout(version.ref, tmp_path / place, link=True)
        shared.append(done.linked + done.cloned)
        assert held(tmp_path / place) == held(pictures)
        assert embedded.datasets.status(tmp_path / place).read == 0
    assert shared == [202, 202]
    if done.linked:
        name = next(path for path in held(pictures) if (pictures / path).stat().st_size)
        assert (tmp_path / "one" / name).samefile(tmp_path / "two" / name)
        assert (tmp_path / "one" / name).stat().st_mode & 0o222 == 0
    with pytest.raises(Invalid, match="links or copies"):
        embedded.datasets.checkout(version.ref, tmp_path / "three", link=True, copy=True)


def test_links_take_the_place_of_files_and_folders(embedded, pictures, tmp_path):
    first = embedded.datasets.add_files("pictures", pictures)
    out = tmp_path / "out"
    embedded.datasets.checkout(first.ref, out)
    changed = [pictures / path for path in sorted(held(pictures)) if (pictures / path).stat().st_size][:20]
    for path in changed:
        path.write_bytes(b"something else in " + path.name.encode())
    second = embedded.datasets.add_files("pictures", pictures)
    done = embedded.datasets.checkout(second.ref, out, link=True)
    assert (done.linked + done.cloned, done.kept) == (20, 183)
    back = embedded.datasets.checkout(first.ref, out, link=True)
    assert back.linked + back.cloned == 20
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]
    again = embedded.datasets.checkout(second.ref, out, link=True)  # over links, and from what lies there already
    assert again.linked + again.cloned == 20
    assert held(out) == held(pictures)
    target = out / changed[0].relative_to(pictures)
    target.unlink()
    target.mkdir()
    embedded.datasets.checkout(second.ref, out, link=True, force=True)
    assert held(out) == held(pictures)


def test_a_small_link_that_was_written_through_or_is_gone_is_not_handed_out_again(embedded, pictures, tmp_path):
    version = embedded.datasets.add_files("pictures", pictures)
    embedded.datasets.checkout(version.ref, tmp_path / "one", link=True)
    full = [tmp_path / "one" / path for path in sorted(held(pictures)) if (pictures / path).stat().st_size]
    for path in full[:3]:
        path.chmod(0o644)
        path.write_bytes(b"written through the link")
    places = [path for path in embedded.home.folder.rglob("cache/datasets/files/*/*") if path.name != "seen"]
    for path in places[:3]:
        path.unlink()
    for path in {each.parent for each in places[3:9]}:
        (path / "seen").write_bytes(b"spoilt")
    for copies in ("two", "three"):
        embedded.datasets.checkout(version.ref, tmp_path / copies, link=True)
        assert held(tmp_path / copies) == held(pictures)


def test_where_links_cannot_be_made_files_are_written(embedded, pictures, tmp_path):
    here = tmp_path.stat().st_dev
    others = [place for place in map(Path, ("/var/tmp", "/dev/shm")) if place.is_dir() and place.stat().st_dev != here]
    if not others:
        pytest.skip("there is one file system only")
    version = embedded.datasets.add_files("pictures", pictures)
    with TemporaryDirectory(dir=others[0]) as out:
        done = embedded.datasets.checkout(version.ref, Path(out) / "there", link=True)
        assert (done.written, done.linked + done.cloned) == (203, 0)
        assert held(Path(out) / "there") == held(pictures)

"""Versions into folders: all of their files or some, over nothing or over another version.

What somebody changed or put there is never written over unless told so. Large files, or all, are shared with a folder of
files beside the workspace; see `links`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from modelwright.core.folders import Index, Remembered, Seen, folders_of, scan
from modelwright.datasets.chunks import by_place, read_chunks
from modelwright.datasets.linking import damaged
from modelwright.datasets.links import Links
from modelwright.datasets.manifest import Entry
from modelwright.datasets.objects import Writer, is_partial, read_entry
from modelwright.datasets.trees import Told, known_digest, learn


class CheckedOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to a folder."""

    ref: str
    folder: str
    written: int = 0
    cloned: int = 0
    linked: int = 0
    removed: int = 0
    kept: int = 0  # files that were as they should be


def choose(entries: Sequence[Entry], wanted: Sequence[str]) -> list[Entry]:
    """The entries that some paths or patterns mean: a file, all below a folder, or what a pattern such as `*.png` matches.

    `NotFound` names one that means none. `*` matches across folders.
    """
    if not wanted:
        return list(entries)
    found: dict[str, Entry] = {}
    for pattern in wanted:
        plain = pattern.rstrip("/")
        meant = [
            entry
            for entry in entries
            if entry.path == plain or entry.path.startswith(f"{plain}/") or fnmatchcase(entry.path, pattern)
        ]
        if not meant:
            raise NotFound(f"The version has no file {pattern!r}.", mend="mw data files shows which it has.")
        found |= {entry.path: entry for entry in meant}
    return sorted(found.values(), key=lambda entry: entry.path)


def check_out(
    blobs: Blobs,
    root: Path,
    entries: Sequence[Entry],
    index: Index,
    *,
    ref: str,
    links: Links | None,
    found: Mapping[str, Seen] | None = None,
    chosen: Sequence[str] = (),
    before: Sequence[Entry] | None = None,
    force: bool = False,
    told: Told = lambda done: None,
    ours: Sequence[Mapping[str, bytes]] = (),
    begin: Callable[[], None] = lambda: None,
) -> CheckedOut:
    """Bring a folder to the entries; the index learns of it, but is not saved.

    Files that a version put there, which are not among the entries, go (not where only `chosen` ones are brought); files
    of nobody stay. `Conflict` names files that were changed since, or are in the way, and then nothing was done, unless
    `force`. `links` are what files may be linked to; without it all are written. `found` is what lies there, where
    somebody has looked already.

    Where the folder is a version, and nothing else, `before` may be what that has in place of `entries`, which are then
    those alone that are on other pages of the two versions: nothing is done to what both have, and it is not looked at.
    `ours` are the contents, by path, that checkouts which were killed may have put there: they are nobody's work. `begin`
    is called before the first file is touched.
    """
    for place in (root, *root.parents):
        if place.is_file():
            raise Invalid(f"{place} is a file.", mend="Name a folder.")
    _no_link(root)
    partial = bool(chosen)
    if found is None:
        found = scan(root) if root.is_dir() else {}
    if root.exists() and not root.is_dir():
        raise Invalid(f"{root} is no folder.", mend="Name a folder.")
    wanted = {entry.path: entry for entry in entries}
    kept = 0
    if before is not None:
        concerned = wanted.keys() | {entry.path for entry in before}
        kept = len(found)
        found = {path: found[path] for path in concerned if path in found}
        kept -= len(found)
    put = index.put if before is None else [entry.path for entry in before]
    good, blocked = _compare(root, wanted, found, index)
    gone = [] if partial else [path for path in put if path in found and path not in wanted]
    blocked += [path for path in gone if _digest(root, path, found[path], index) != index.put[path]]
    if ours:

        def left(path: str) -> bool:
            digest = _digest(root, path, found[path], index)
            return any(each.get(path) == digest for each in ours)

        blocked = [path for path in blocked if not left(path)]
        further = {path for each in ours for path in each} & found.keys() - wanted.keys() - {*gone}
        gone += [] if partial else sorted([*filter(left, further), *filter(is_partial, found.keys() - wanted.keys())])
    blocked += _in_the_way(wanted, {*found} - {*gone})
    if blocked and not force:
        first = sorted(blocked)[0]
        raise Conflict(
            f"{first!r} in {root} is not as it was put there"
            + (
                f", nor are {len(blocked) - 1:,} other files."
                if len(blocked) > 2
                else ", nor is another."
                if len(blocked) > 1
                else "."
            ),
            mend=f"Add {'them' if len(blocked) > 1 else 'it'} as a version first, or say --force to lose"
            f" {'them' if len(blocked) > 1 else 'it'}.",
            details={"files": sorted(blocked)[:100]},
        )
    begin()
    index.whole = ""
    places = _places(wanted, found)
    below = [path for path in found if any(path.startswith(f"{place}/") for place in places)] if places else []
    for path in [*gone, *below]:
        _remove(root, path)
        index.files.pop(path, None)
        index.put.pop(path, None)
    todo = [entry for path, entry in wanted.items() if path not in good]
    counts = dict.fromkeys(("written", "cloned", "linked"), 0)
    done = 0
    for path, entry, how, seen in _bring(blobs, root, todo, links, found):
        counts[how] += 1
        index.files[path] = Remembered(seen, entry.digest, sure=True)  # its time is one before any change to come
        index.put[path] = entry.digest
        done += entry.size
        told(done)
    if not partial and before is None:
        index.put = {}
    index.put |= {path: entry.digest for path, entry in wanted.items()}
    if partial and (not index.ref or (index.ref == ref and index.chosen)):
        index.chosen = sorted({*index.chosen, *chosen})
    index.ref = index.ref if partial and index.ref else ref
    if not partial:
        index.chosen = []
        others = [] if before is None else [path for path in index.executable if path not in concerned]
        index.whole, index.executable = ref, [*others, *(entry.path for entry in entries if entry.executable)]
    return CheckedOut(ref=ref, folder=str(root), removed=len(gone), kept=kept + len(good), **counts)


def _bring(
    blobs: Blobs, root: Path, todo: Sequence[Entry], links: Links | None, there: Mapping[str, Seen]
) -> Iterator[tuple[str, Entry, str, Seen]]:
    """Bring entries to their places, where `there` lies already; of each its path, what was done, how it is found there."""
    wanted = {entry.path: entry for entry in todo}
    ordered = [wanted[path] for path in by_place({entry.path: entry.chunks for entry in todo})]
    held = _held(ordered, links)
    contents = read_chunks(
        blobs, [c for entry in ordered if entry.path not in held for c in entry.chunks]
    )  # neighbours at once
    writer, made, top = Writer(), set[str](), f"{root}{os.sep}"
    try:
        for entry in ordered:
            path = entry.path
            folder = path.rpartition("/")[0]
            if folder not in made:
                _make_folders(root, folder, made)
            target = top + path
            pieces = None if path in held else (next(contents)[1] for _ in entry.chunks)
            try:
                how, seen = _put(blobs, entry, pieces, target, links, writer, replaces=path in there)
            except IsADirectoryError:
                _clear(Path(target))
                how, seen = _put(blobs, entry, None, target, links, writer, replaces=False)
            except Corrupt as error:
                raise damaged(blobs, ordered, error) from None
            yield path, entry, how, seen
    finally:
        if links is not None:
            links.save()


def _held(ordered: Sequence[Entry], links: Links | None) -> set[str]:
    """The paths of entries whose content need not be read, as it can be linked to, or will be when their turn has come."""
    found: set[str] = set()
    if links is None:
        return found
    ready: dict[tuple[bytes, bool], bool] = {}
    for entry in ordered:
        if links.takes(entry):
            content = (entry.digest, entry.executable)
            if ready.get(content) or links.holds(entry):
                found.add(entry.path)
            ready[content] = True
    return found


def _put(
    blobs: Blobs,
    entry: Entry,
    pieces: Iterable[bytes] | None,
    target: str,
    links: Links | None,
    writer: Writer,
    *,
    replaces: bool,
) -> tuple[str, Seen]:
    """Link or write one file; how it was done, and how it is found. `IsADirectoryError` if a folder is in its place.

    `pieces` are its content, where it was read already; `replaces` says whether a file is in its place.
    """
    if links is not None and links.takes(entry):
        if pieces is not None:
            links.fill(entry, pieces)
            pieces = None
        if (given := links.give(entry, target)) is not None:
            return given
    mode = 0o755 if entry.executable else 0o644
    return "written", writer.write(target, read_entry(blobs, entry) if pieces is None else pieces, mode, clear=replaces)


def write_files(blobs: Blobs, entries: Sequence[Entry], folder: Path) -> None:
    """Write the files of a version into a new folder, as they are and with nothing remembered of it."""
    folder.mkdir()
    for _ in _bring(blobs, folder, entries, None, {}):
        pass


def _compare(
    root: Path, wanted: Mapping[str, Entry], found: Mapping[str, Seen], index: Index
) -> tuple[set[str], list[str]]:
    """Which files are as they should be, and which are something that no version can bring back."""
    good: set[str] = set()
    blocked: list[str] = []
    files, put = index.files, index.put
    for path, entry in wanted.items():
        seen = found.get(path)
        if seen is None:
            continue
        known = files.get(path)
        if known is not None and known.sure and known.seen == seen and known.digest == entry.digest:
            digest = entry.digest
        else:
            digest = known_digest(root, path, seen, index, entry) or learn(root, path, seen, index, entry)
        if digest == entry.digest and seen.executable == entry.executable:
            good.add(path)
        elif digest not in (entry.digest, put.get(path)):
            blocked.append(path)
    return good, blocked


def _digest(root: Path, path: str, seen: Seen, index: Index) -> bytes:
    return index.digest(path, seen) or learn(root, path, seen, index)


def _places(wanted: Mapping[str, Entry], there: Mapping[str, Seen]) -> set[str]:
    """The paths of files where a folder is."""
    return set() if there.keys() <= wanted.keys() else folders_of(there) & wanted.keys()


def _in_the_way(wanted: Mapping[str, Entry], there: set[str]) -> list[str]:
    """Files where a folder must be, and files in a folder where a file must be."""
    if there <= wanted.keys():  # of which none is a folder of another
        return []
    folders = folders_of(there) & wanted.keys()
    inside = [path for path in there if any(path.startswith(f"{folder}/") for folder in folders)] if folders else []
    return [*(folders_of(wanted) & there), *inside]


def _make_folders(root: Path, folder: str, made: set[str]) -> None:
    """Make a folder in the root and those above it; `Refused` if a link would lead out of the root."""
    target = root / folder
    missing = []
    for parent in [target, *target.parents]:
        missing.append(parent)
        if parent == root:
            break
    for parent in reversed(missing):
        _no_link(parent)
        if parent.is_file():
            parent.unlink()
        parent.mkdir(parents=parent == root, exist_ok=True)
    made.add(folder)


def _clear(folder: Path) -> None:
    """Remove a folder of empty folders; `Conflict` if something else is in it."""
    for place, _, _ in os.walk(folder, topdown=False):
        try:
            Path(place).rmdir()
        except OSError:
            raise Conflict(
                f"{folder} is a folder with other things in it, where a file must be.", mend="Move it away."
            ) from None


def _no_link(folder: Path) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(folder.lstat().st_mode):
            raise Refused(f"{folder} is a symbolic link; nothing is written through it.", mend="Name what it leads to.")


def _remove(root: Path, path: str) -> None:
    (root / path).unlink(missing_ok=True)
    for parent in (root / path).parents:
        if parent == root:
            return
        try:
            parent.rmdir()
        except OSError:
            return

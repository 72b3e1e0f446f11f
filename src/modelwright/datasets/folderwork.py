"""What is done to a folder that is added or checked out, but for the record: looked at, read and stored, or written.

It needs no database. So a command has it begun by a process beside, while it reads the rest of the program (see `ahead`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, NotFound
from modelwright.core.folders import Index, Indexes, Seen, changes, glance, scan
from modelwright.datasets.linked import Linked

if TYPE_CHECKING:
    from modelwright.datasets.checkout import CheckedOut
    from modelwright.datasets.manifest import Entry

Share = Literal["nothing", "large", "all"]  # which files of a checkout are links, or share their blocks
Told = Callable[[float], None]
_MANIFESTS: Final = 32  # of how many versions a folder remembers where their files are listed


class Listing(msgspec.Struct, frozen=True):
    """A version, and the manifest of its files."""

    ref: str
    manifest: str


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a folder: what a record says of its files, and the version that it was of before."""

    begun: str
    same: bool = False  # it holds what the newest version holds, and what follows is empty
    manifest: str = ""
    content: str = ""
    files: int = 0
    bytes: int = 0
    stored: int = 0
    source: str = ""
    linked: Linked | None = None  # what became of large files, where they were to be linked


class Step(NamedTuple):
    """From one version to another: the entries on pages that only one of them has."""

    before: Sequence[Entry]
    after: Sequence[Entry]


class FolderWork(Protocol):
    """The work on one folder."""

    def add(self, newest: Listing | None, *, verify: bool, link: bool, told: Told) -> Added:
        """Store what the folder, or single file, holds and `newest` does not; see `Datasets.add_files`."""
        ...

    def remember(self, version: Listing) -> None:
        """Keep in mind how the folder was found, and that it is that version now: what was added is registered."""
        ...

    def checkout(self, version: Listing, patterns: Sequence[str], *, share: Share, force: bool, told: Told) -> CheckedOut:
        """Bring the folder to the files of a version; see `Datasets.checkout`."""
        ...


class Here:
    """The work, done in this process."""

    def __init__(self, blobs: Blobs, root: Path, indexes: Indexes, place: Path | None) -> None:
        """`place` is the folder beside the workspace for what may be shared, and for what is known of chunks."""
        self._blobs = blobs
        self._root = root
        self._indexes = indexes
        self._place = place
        self._listed: dict[str, Sequence[Entry]] = {}
        self._steps: dict[Listing, Step | None] = {}

    @cached_property
    def index(self) -> Index:
        """What is known of the folder."""
        return self._indexes.load(self._root)

    @cached_property
    def found(self) -> Mapping[str, Seen]:
        """What lies there."""
        return scan(self._root)

    def add(self, newest: Listing | None, *, verify: bool, link: bool, told: Told) -> Added:
        from modelwright.datasets.chunks import KnownChunks
        from modelwright.datasets.files import prepare_files
        from modelwright.datasets.manifest import packs_of, read_manifest, read_pages
        from modelwright.datasets.revising import revise

        index, begun = self.index, self.index.ref
        before = None if newest is None else read_manifest(self._blobs, newest.manifest)
        differs = None
        whole = newest is not None and not verify and index.holds(newest.ref, newest.manifest)
        if before is not None and whole and all(self._blobs.exists(pack) for pack in packs_of(self._blobs, before)):
            differs = changes(index, self.found)
            if not differs.unsure and not differs.gone:
                return Added(begun=begun, same=True)
        chunks = self._place or self._indexes.place
        with closing(KnownChunks(chunks and chunks / "chunks.db")) as known:
            about: dict[str, Any] = {"known": known, "index": index, "found": self.found, "link": link, "told": told}
            made = None
            if before is not None and differs is not None:
                made = revise(self._blobs, self._root, differs=differs, before=before, **about)
            if made is None:
                pages = [] if before is None else read_pages(self._blobs, before)
                known.meet(chunk for page in pages for entry in page.entries for chunk in entry.chunks)
                made = prepare_files(self._blobs, self._root, before=pages, verify=verify, **about)
        return Added(
            begun=begun,
            manifest=made.digest,
            content=made.manifest.content,
            files=made.manifest.count,
            bytes=made.manifest.bytes,
            stored=made.stored,
            source=f"{self._root.name}/" if self._root.is_dir() else self._root.name,
            linked=made.linked,
        )

    def remember(self, version: Listing) -> None:
        self.index.ref = self.index.whole = version.ref
        self.index.chosen = []
        self._learn(version)
        self._indexes.save(self.index)
        self._indexes.done(self._root)

    def checkout(self, version: Listing, patterns: Sequence[str], *, share: Share, force: bool, told: Told) -> CheckedOut:
        from modelwright.datasets.checkout import check_out, choose
        from modelwright.datasets.links import Links

        step = None if patterns else self._step(version)
        entries = choose(self._entries(version.manifest), patterns) if step is None else step.after
        linked = share != "nothing" and self._place is not None
        begun = self._indexes.begun(self._root)
        try:
            made = check_out(
                self._blobs,
                self._root,
                entries,
                self.index,
                ref=version.ref,
                found=self.found if self._root.is_dir() else None,
                links=Links(self._place / "files", self._blobs, small=share == "all")
                if linked and self._place is not None
                else None,
                chosen=patterns,
                before=None if step is None else step.before,
                force=force,
                told=told,
                ours=self._broken_off(begun) if begun else (),
                begin=lambda: self._indexes.begin(self._root, version.ref, version.manifest),
            )
        finally:
            self._learn(version)
            self._indexes.save(self.index)
        if not patterns:  # else what was put elsewhere by who was killed is still there
            self._indexes.done(self._root)
        return made

    def _broken_off(self, begun: Mapping[str, str]) -> list[dict[str, bytes]]:
        """What checkouts that were killed may have put here: the digests of the files of each version, by path."""
        found = []
        for manifest in begun.values():
            try:
                found.append({entry.path: entry.digest for entry in self._entries(manifest)})
            except (NotFound, Corrupt):  # gone since, and nothing brings it back
                continue
        return found

    def expect(self, version: Listing | None) -> None:
        """Read beforehand what a checkout of that version will want to know."""
        self.found  # noqa: B018 - it is remembered
        if version is not None and self._step(version) is None:
            self._entries(version.manifest)

    def _step(self, version: Listing) -> Step | None:
        """What differs in a version from the one that the folder is; None where it is none, or something else as well."""
        if version not in self._steps:
            self._steps[version] = self._stepped(version)
        return self._steps[version]

    def _stepped(self, version: Listing) -> Step | None:
        from modelwright.datasets.manifest import differing, read_manifest

        of = self.index.manifests.get(self.index.whole)
        if of is None or not self._root.is_dir():
            return None
        standing = glance(self.index, self.found)
        if standing is None or not standing.clean:
            return None
        try:
            old, new = (read_manifest(self._blobs, each) for each in (of, version.manifest))
            return Step(*differing(self._blobs, old, new))
        except (NotFound, Corrupt):  # what the folder is, may be lost since
            return None

    def _entries(self, manifest: str) -> Sequence[Entry]:
        from modelwright.datasets.manifest import entries_of, read_manifest

        if manifest not in self._listed:
            self._listed[manifest] = entries_of(self._blobs, read_manifest(self._blobs, manifest))
        return self._listed[manifest]

    def _learn(self, version: Listing) -> None:
        known = {ref: manifest for ref, manifest in self.index.manifests.items() if ref != version.ref}
        self.index.manifests = dict([*known.items(), (version.ref, version.manifest)][-_MANIFESTS:])

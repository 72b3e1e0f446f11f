"""Manifests: which files a version consists of, and of which chunks each of them.

The entries, in the order of their paths, are cut into *pages* after paths that their checksum picks; so two versions that
differ in few files share most pages, and one that is made from another takes over those in which nothing changed. A page is
a chunk like any other. The manifest itself is a JSON object that names the pages, and every pack that a page or one of its
entries needs: so the collector of objects, which reads JSON, keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter, lt
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, Invalid
from modelwright.core.folders import check_paths, folders_of
from modelwright.core.hashing import digest_bytes
from modelwright.datasets.chunks import Chunk, Packer, digest_of, read_chunks

FORMAT: Final = "modelwright-manifest-1"
READ_INTO: Final = 4 << 20  # the collector reads JSON up to this size for the digests in it
PAGE: Final = 32  # entries of a page, on average
_PAGES: Final = 4096  # with more, pages are larger
_NAMED: Final = 16_000  # packs named in one JSON document


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One file of a version."""

    path: str  # below the version's root, with `/`
    size: int
    digest: bytes
    executable: bool
    chunks: list[Chunk]

    @property
    def same(self) -> tuple[int, bytes, bool]:
        """What two entries agree in whose files are equal."""
        return self.size, self.digest, self.executable


class PageOf(msgspec.Struct, frozen=True):
    """One page: how many entries are on it, what they say (wherever the chunks lie), and where it lies itself."""

    count: int
    content: str
    chunk: tuple[str, str, int, int]  # digest, pack, start, size
    packs: list[int] = []  # which of the manifest's packs the entries need; none where an earlier program wrote it

    @property
    def where(self) -> Chunk:
        """The page as a chunk."""
        digest, pack, start, size = self.chunk
        return Chunk(bytes.fromhex(digest), bytes.fromhex(pack), start, size)


class Page(NamedTuple):
    """A page that was read: what the manifest says of it, its entries, and the packs that these need."""

    of: PageOf
    entries: list[Entry]
    packs: list[bytes]


class Kept(NamedTuple):
    """A page that is taken over as it lies, and the packs that its entries need."""

    of: PageOf
    packs: Sequence[bytes]


class Fresh(NamedTuple):
    """A page that was given to the packer under this digest."""

    entries: Sequence[Entry]
    digest: bytes


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a version."""

    format: str
    count: int  # files
    bytes: int
    content: str  # the digest of paths and contents: equal for equal versions, wherever their chunks lie
    pages: list[PageOf]
    packs: list[str]
    more: list[str] = []  # JSON documents that name further packs


def write_manifest(
    blobs: Blobs, packer: Packer, entries: Iterable[Entry], *, before: Sequence[Page] = ()
) -> tuple[str, Manifest]:
    """Store a manifest of entries, in any order; gives its digest. What it names is stored when it is.

    `before` are all pages of a manifest that this one is perhaps much like. The result is the same without them.
    """
    ordered = sorted(entries, key=attrgetter("path"))
    paths = [entry.path for entry in ordered]
    check_paths(paths)
    _check_order(paths)
    pages: list[Kept | Fresh] = []

    def same(start: int, end: int, number: int) -> bool:
        return ordered[start:end] == before[number].entries

    for start, end, number in cut(paths, [(page.entries[0].path, len(page.entries)) for page in before], same):
        if number is not None and packer.holds([before[number].of.where]):
            pages.append(Kept(before[number].of, before[number].packs))
        else:
            pages.append(add_page(packer, ordered[start:end]))
    return put_manifest(blobs, packer, pages, size=sum(entry.size for entry in ordered))


def add_page(packer: Packer, entries: Sequence[Entry]) -> Fresh:
    """Give a page to the packer."""
    return Fresh(entries, packer.add(_page(entries)))


def put_manifest(blobs: Blobs, packer: Packer, pages: Iterable[Kept | Fresh], *, size: int) -> tuple[str, Manifest]:
    """Store the manifest of some pages, which hold so many bytes of files; gives its digest."""
    packer.flush()
    numbers: dict[bytes, int] = {}
    told = []
    for page in pages:
        if isinstance(page, Kept):
            of, needed = page.of, page.packs
        else:
            chunk = packer.where(page.digest)
            place = (chunk.digest.hex(), chunk.pack.hex(), chunk.start, chunk.size)
            of = PageOf(len(page.entries), _content(page.entries), place)
            needed = list(dict.fromkeys(each.pack for entry in page.entries for each in entry.chunks))
        numbers.setdefault(bytes.fromhex(of.chunk[1]), len(numbers))
        told.append(replace(of, packs=[numbers.setdefault(pack, len(numbers)) for pack in needed]))
    named = [pack.hex() for pack in numbers]
    manifest = Manifest(
        format=FORMAT,
        count=sum(page.count for page in told),
        bytes=size,
        content=digest_bytes("".join(page.content for page in told).encode()),
        pages=told,
        packs=named if len(named) <= _NAMED else [],
        more=[]
        if len(named) <= _NAMED
        else [blobs.put(msgspec.json.encode(named[at : at + _NAMED])) for at in range(0, len(named), _NAMED)],
    )
    encoded = msgspec.json.encode(manifest)
    if len(encoded) > READ_INTO:
        raise Invalid(f"A manifest of {len(encoded):,} bytes is more than the {READ_INTO:,} that are read.")
    return blobs.put(encoded), manifest


def read_manifest(blobs: Blobs, digest: str) -> Manifest:
    """A manifest, without its entries."""
    try:
        manifest = msgspec.json.decode(blobs.read(digest), type=Manifest)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"The object {digest} is no manifest: {error}.") from None
    if manifest.format != FORMAT:
        raise Invalid(f"The manifest {digest} is of the format {manifest.format!r}.", mend="Use a newer Modelwright.")
    return manifest


def packs_of(blobs: Blobs, manifest: Manifest) -> Iterator[str]:
    """Every pack that a manifest needs."""
    yield from manifest.packs
    for digest in manifest.more:
        yield from msgspec.json.decode(blobs.read(digest), type=list[str])


def entries_of(blobs: Blobs, manifest: Manifest, pages: Iterable[PageOf] | None = None) -> list[Entry]:
    """The entries, or those of some pages, in the order of their paths. Names are checked as those of a stranger."""
    return [entry for page in read_pages(blobs, manifest, pages) for entry in page.entries]


def differing(blobs: Blobs, before: Manifest, after: Manifest) -> tuple[list[Entry], list[Entry]]:
    """The entries of two versions that are on pages which only one of them has."""
    shared = {page.content for page in before.pages} & {page.content for page in after.pages}
    earlier, later = ([page for page in each.pages if page.content not in shared] for each in (before, after))
    return entries_of(blobs, before, earlier), entries_of(blobs, after, later)


def read_pages(blobs: Blobs, manifest: Manifest, pages: Iterable[PageOf] | None = None) -> list[Page]:
    """The pages, or some of them, with their entries; see `entries_of`."""
    wanted = list(manifest.pages if pages is None else pages)
    contents = read_chunks(blobs, [page.where for page in wanted])
    found = [_read_page(page, content) for page, (_, content) in zip(wanted, contents, strict=True)]
    paths = [entry.path for page in found for entry in page.entries]
    check_paths(paths)
    _check_order(paths)
    return found


def by_path(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    """Entries by their paths."""
    return {entry.path: entry for entry in entries}


def cut(
    paths: Sequence[str], before: Sequence[tuple[str, int]], same: Callable[[int, int, int], bool]
) -> Iterator[tuple[int, int, int | None]]:
    """Sorted paths in pages: from where to where one goes, and the number of the page of `before` that says the same.

    `before` has the first path of each page and how many there are on it; `same` is asked whether the paths from here to
    there are the files that a page has.
    """
    average = _average(len(paths))
    usable = average == _average(sum(count for _, count in before))
    known = {first: number for number, (first, _) in enumerate(before)} if usable else {}
    last = len(before) - 1  # where that one ends, its entries did, and nothing else
    start = 0
    while start < len(paths):
        number = known.get(paths[start])
        if number is not None:
            end = start + before[number][1]
            if (number != last or end == len(paths)) and same(start, end, number):
                yield start, end, number
                start = end
                continue
        end = start + 1
        limit = min(start + 8 * average, len(paths))
        while end < limit and crc32(paths[end - 1].encode()) % average:
            end += 1
        yield start, end, None
        start = end


def _average(count: int) -> int:
    average = PAGE
    while average * _PAGES < count:
        average *= 2
    return average


def _page(entries: Sequence[Entry]) -> bytes:
    """Entries as bytes. Packs are numbered within the page; a file of one chunk has that chunk's digest."""
    packs: dict[bytes, int] = {}
    rows: list[Any] = []
    for entry in entries:
        digests = [chunk.digest for chunk in entry.chunks] if len(entry.chunks) > 1 else []
        places = [(packs.setdefault(chunk.pack, len(packs)), chunk.start, chunk.size) for chunk in entry.chunks]
        rows.append((entry.path, entry.digest, entry.executable, digests, places))
    return msgspec.msgpack.encode((list(packs), rows))


class _Page(msgspec.Struct, array_like=True):
    packs: list[bytes]
    rows: list[tuple[str, bytes, bool, list[bytes], list[tuple[int, int, int]]]]


def _read_page(page: PageOf, content: bytes) -> Page:
    try:
        read = msgspec.msgpack.decode(content, type=_Page)
        return Page(page, [_entry(read.packs, *row) for row in read.rows], read.packs)
    except (msgspec.MsgspecError, ValueError, IndexError) as error:
        raise Corrupt(f"The page {page.chunk[0]} of a manifest cannot be read: {error}.") from None


def _entry(
    packs: list[bytes],
    path: str,
    digest: bytes,
    executable: bool,
    several: list[bytes],
    places: list[tuple[int, int, int]],
) -> Entry:
    if len(places) == 1 and not several:
        [(pack, start, size)] = places
        return Entry(path, size, digest, executable, [Chunk(digest, packs[pack], start, size)])
    digests = several or [digest] * len(places)
    chunks = [Chunk(each, packs[pack], start, size) for each, (pack, start, size) in zip(digests, places, strict=True)]
    if digest_of([chunk.digest for chunk in chunks]) != digest:
        raise ValueError(f"the digest of {path!r} is not that of its chunks")
    return Entry(path, sum(chunk.size for chunk in chunks), digest, executable, chunks)


def _content(entries: Sequence[Entry]) -> str:
    said = [(entry.path, entry.size, entry.digest, entry.executable) for entry in entries]
    return digest_bytes(msgspec.msgpack.encode(said))


def _check_order(paths: Sequence[str]) -> None:
    """`Invalid` where a path stands twice, or is a file and a folder."""
    folders = folders_of(paths)
    if folders.isdisjoint(paths) and all(map(lt, paths, islice(paths, 1, None))):
        return
    for before, path in zip(["", *paths], paths, strict=False):
        if path == before or path in folders:
            raise Invalid(f"{path!r} stands for two things in one version.")

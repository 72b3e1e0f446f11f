"""Versions on their way: into folders and files, to other workspaces and depots, and out of the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelwright.core.errors import InUse, Invalid, NotFound
from modelwright.core.folders import Standing, real
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Ref, as_ref
from modelwright.datasets.folderwork import Listing, Share
from modelwright.datasets.local.content import Content
from modelwright.datasets.records import Pruned

if TYPE_CHECKING:
    from modelwright.datasets.checkout import CheckedOut
    from modelwright.datasets.depot import Depot
    from modelwright.datasets.transfer import Transfer


class Moving(Content):
    """Checkout, export, push, pull and prune."""

    def checkout(
        self,
        ref: Ref | str,
        folder: Path | str,
        patterns: Sequence[str] = (),
        *,
        copy: bool = False,
        link: bool = False,
        force: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> CheckedOut:
        """Bring a folder to a version of files: all of them, or those that some paths or patterns mean.

        What is there already is left as it is, and what an earlier version put there and this one has not is removed.
        `Conflict` names files that somebody changed, and nothing is done, unless `force` is set. Large files share their
        blocks with a folder beside the workspace, or are read-only links to it, unless `copy` is set; with `link` small
        ones too, which is quicker from the second checkout on.
        """
        if copy and link:
            raise Invalid("Files are links or copies.", mend="Say one of copy and link.")
        version = self._holding_files(self._read(ref)).there
        if version.manifest is None:
            raise NotFound(f"{version.ref} was registered without a manifest.")
        share: Share = "nothing" if copy else "all" if link else "large"
        return self._work(real(folder)).checkout(
            Listing(str(version.ref), version.manifest), patterns, share=share, force=force, told=told
        )

    def status(
        self,
        folder: Path | str,
        ref: Ref | str | None = None,
        *,
        verify: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> Standing:
        """How a folder stands to a version; by default to the one that was added from it or checked out into it last.

        Where only some files of that were checked out, the others are not missed; of a version that is named all are.
        Files are told apart by size, time and inode, and read where that does not suffice; all of them with `verify`.
        """
        from modelwright.datasets.checkout import choose as chosen
        from modelwright.datasets.manifest import by_path
        from modelwright.datasets.trees import stand

        root = real(folder)
        mark = self._indexes.mark(root)
        index = self._indexes.load(root)
        if ref is None and not index.ref:
            broken = list(self._indexes.begun(root))
            raise NotFound(
                f"A checkout of {broken[-1]} into {root} was broken off."
                if broken
                else f"It is not known of which version {root} is.",
                mend=f"Do it again: mw data checkout {broken[-1]} {root}" if broken else "Name one: dataset:name@3.",
            )
        version = self._holding_files(self.show(as_ref(ref or index.ref)))
        entries = by_path(self._entries(version))
        standing = stand(root, entries, index, ref=str(version.ref), verify=verify, told=told)
        if ref is None and index.chosen:
            asked = {entry.path for entry in chosen(list(entries.values()), index.chosen)}
            missed = [path for path in standing.removed if path in asked]
            standing = replace(standing, removed=missed, beyond=len(standing.removed) - len(missed))
        if self._indexes.mark(root) == mark:  # else somebody checked out there meanwhile, or added: that is worth more
            self._indexes.save(index)
        return standing

    def export(
        self,
        ref: Ref | str,
        target: Path | str,
        form: str = "",
        *,
        purpose: str = "",
        masked: bool = False,
        about: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a version to a new file or folder, for others to read: what you may read of it, as you may read it.

        `form` is `parquet`, `csv`, `arrow`, `parts` (a folder of Parquet files), `delta`, `iceberg`, `folder` (of a version
        of files), or `croissant`: a folder of the content with Croissant's metadata, for which `about` says `license`, and
        may say `url`, `creator` and `citation`. By default the target's suffix tells. With `masked` every column that is
        masked for anybody is masked. Where something is there already it is a `Conflict`; what appears is whole.
        """
        from modelwright.datasets import exporting
        from modelwright.datasets.checkout import write_files
        from modelwright.datasets.croissant import TABLE, write_croissant

        version, place, parted = self._read(ref), Path(target).absolute(), form == "parts"
        form = form or exporting.SUFFIXES.get(place.suffix.lower(), "parts" if version.is_table else "folder")
        if form == "parts" and not parted and re.fullmatch(r"\.[a-z]{2,7}", place.suffix.lower()):
            raise Invalid(
                f"No format has the ending {place.suffix}.",
                mend=f"There are {', '.join(exporting.SUFFIXES)}; for a folder of that name say --format parts.",
            )
        if version.is_table:
            files = self._masked_files(version, purpose, everything=True) if masked else self._files(version, purpose)
            if form != "croissant":
                exporting.export_rows(files, place, form)
                return place
        elif form not in ("folder", "croissant"):
            self._holding_rows(version)

        def fill(folder: Path) -> None:
            if version.is_table:
                folder.mkdir()
                exporting.export_rows(files, folder / TABLE, "parquet")
            else:
                write_files(self.blobs, self._entries(version), folder)

        def described(folder: Path) -> None:
            write_croissant(version, folder, fill, about=about or {})

        exporting.appear(place, fill if form == "folder" else described)
        return place

    def push(
        self,
        ref: Ref | str,
        to: Moving | str | Path,
        *,
        into: str = "",
        alone: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> Transfer:
        """Bring a version, and those it was made from, to another workspace or to a depot: a folder, or `s3://` a prefix.

        Only chunks that are not there travel, verified on the way; what is there already is left alone, so a push that was
        stopped goes on when it is started again. `into` is the name there, by default the same; `alone` leaves out the
        versions before it. `told` is called with the bytes that are done.
        """
        from modelwright.datasets.transfer import transfer

        self.require_clear(self.show(as_ref(ref)))
        target = to if isinstance(to, Moving) else self.depot(to)
        there = digest_value([target.address, "to"])[:16]
        with closing(self._chunks(f"sent-{there}.db")) as known:
            return transfer(self, target, as_ref(ref), into=into, alone=alone, known=known, told=told)

    def pull(
        self,
        ref: Ref | str,
        source: Moving | str | Path,
        *,
        into: str = "",
        alone: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> Transfer:
        """Bring a version from another workspace, or from a depot, to here: as `push`, the other way."""
        from modelwright.datasets.transfer import transfer

        if isinstance(source, str | Path) and "://" not in str(source) and not Path(source).is_dir():
            raise NotFound(f"There is no folder {source}.", mend="Name a project, or the folder that was pushed to.")
        origin = source if isinstance(source, Moving) else self.depot(source)
        if isinstance(origin, Moving):
            origin.require_clear(origin.show(as_ref(ref)))
        with closing(self._chunks("chunks.db")) as known:
            return transfer(origin, self, as_ref(ref), into=into, alone=alone, known=known, told=told)

    def prune(self, ref: Ref | str, *, last: int, plan: bool = False, reason: str = "") -> Pruned:
        """Delete the versions of a dataset that nothing keeps: not the last so many, not what has an alias or a use.

        Says which objects the rest of the dataset does not need; letting go of them is the storage's (`storage.remove`),
        which looks whether anything else does. With `plan` nothing is deleted. A version that comes to be kept while this
        goes on stays, and that is its reason.
        """
        if last < 1:
            raise Invalid(f"At least one version is kept, not {last}.")
        whole = as_ref(ref).whole
        found = self.keeping(whole, last=last)
        sizes = {each.ref: each.objects for each in self.holdings(whole)}
        held = {each: set(objects) for each, objects in sizes.items()}
        gone, kept = [each for each in found if not each.reasons], [each for each in found if each.reasons]
        for each in [] if plan else tuple(gone):
            try:
                self.delete(each.ref, reason=reason)
            except InUse as error:
                gone.remove(each)
                kept.append(replace(each, reasons=[error.message]))
            except NotFound:  # somebody else has deleted it
                pass
        going = {each.ref for each in gone}
        free = set[str]().union(*(digests for each, digests in held.items() if each in going))
        free -= set[str]().union(*(digests for each, digests in held.items() if each not in going))
        known = {digest: size for objects in sizes.values() for digest, size in objects.items()}
        size = sum(known[digest] for digest in free)
        return Pruned(gone=gone, kept=kept, objects=sorted(free), size=size, planned=plan)

    def depot(self, place: str | Path) -> Depot:
        """What was pushed to a place without a database: a folder or `s3://bucket/prefix`."""
        from modelwright.datasets.depot import Depot
        from modelwright.store.buckets import S3Settings

        return Depot(str(place), self._s3 or S3Settings())

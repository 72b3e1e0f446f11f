"""What versions hold in objects of their own."""

from __future__ import annotations

from collections.abc import Iterable

from modelwright.core.blobs import Blobs
from modelwright.core.wire import decode
from modelwright.datasets.manifest import packs_of, read_manifest
from modelwright.datasets.records import DatasetVersion, Holding, Profile


def holdings(blobs: Blobs, versions: Iterable[DatasetVersion]) -> list[Holding]:
    """What each of some versions names, with sizes; an object that several name is looked at once."""
    sizes, found = dict[str, int](), []
    for version in versions:
        objects = objects_of(blobs, [version])
        for digest in objects - sizes.keys():
            sizes[digest] = blobs.size(digest) if blobs.exists(digest) else 0
        found.append(Holding(ref=version.ref, objects={digest: sizes[digest] for digest in sorted(objects)}))
    return found


def objects_of(blobs: Blobs, versions: Iterable[DatasetVersion]) -> set[str]:
    """The digests of the objects that some versions name: manifests, packs, profiles and their sketches, parts."""
    found: set[str] = set()
    for version in versions:
        found |= {digest for digest in (version.manifest, version.profile) if digest is not None}
        if version.profile is not None:
            found |= {segment.sketch for segment in decode(blobs.read(version.profile), Profile).segments}
        if version.lake is not None:
            found.add(version.lake.listing)
        elif version.manifest is None:
            found |= {part.digest for part in version.parts}
        else:
            manifest = read_manifest(blobs, version.manifest)
            found |= {*manifest.more, *packs_of(blobs, manifest)}
    return found

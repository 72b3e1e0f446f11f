"""The nouns of repacking: packs that hold little that is needed, and what became of them. Pure."""

from __future__ import annotations

import msgspec

from modelwright.core.refs import Ref


class SparsePack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack of whose bytes less than half are needed by any version."""

    digest: str
    size: int
    live: int  # bytes that versions need
    versions: int  # how many need some of it

    @property
    def dead(self) -> int:
        """Bytes that would be free."""
        return self.size - self.live


class SparsePacks(msgspec.Struct, frozen=True, kw_only=True):
    """What putting packs anew would do."""

    packs: list[SparsePack] = []  # those with the most dead bytes first
    young: int = 0  # further ones, stored too lately to be touched
    full: int = 0  # packs of which half or more is needed

    @property
    def live(self) -> int:
        """Bytes that would be written anew."""
        return sum(each.live for each in self.packs)

    @property
    def dead(self) -> int:
        """Bytes that would be free, once the collector has let go of the old packs."""
        return sum(each.dead for each in self.packs)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A version whose manifest is to be another that says the same, with chunks elsewhere."""

    ref: Ref
    before: str  # digests of the manifests
    after: str


class Repacked(msgspec.Struct, frozen=True, kw_only=True):
    """What was put anew."""

    packs: int = 0
    versions: int = 0
    written: int = 0  # bytes
    freed: int = 0  # bytes that the collector may let go of, once its grace is over

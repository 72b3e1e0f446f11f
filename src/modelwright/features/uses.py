"""What views may be used for, and of whom: a room of its own beside the views, asked before each use and told after it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from modelwright.core.errors import NotFound
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.datasets import Datasets
from modelwright.datasets.privacy import refusal
from modelwright.features import queries
from modelwright.features.admission import Admitted, Consent, weigh
from modelwright.features.records import Joining, ViewRecord
from modelwright.store import Transaction, catalog, scopes


class Uses(Room):
    """Uses of feature views: whether they are permitted, and what of them is masked for whoever asks."""

    room, kind = "uses", Kind.FEATURES

    def __init__(self, caller: Caller, *, datasets: Datasets) -> None:
        super().__init__(caller)
        self._datasets = datasets

    @operation("read", on="")
    def admit(self, tx: Transaction, views: Sequence[Ref], *, sources: Sequence[Ref] = (), purpose: str = "") -> Admitted:
        """Whether views may be used for a purpose, computed from `sources` or the versions that they allow now.

        `Refused` names every column that does not permit the purpose or, where the door is strict, that may be about people
        and nobody has decided. The answer says of whom rows may be used, and which features you read masked.
        """
        pins, reasons = {source.whole: source for source in sources}, list[str]()
        consents, masks, personal = list[Consent](), dict[str, str](), list[Ref]()
        may = scopes.may_read(tx, Kind.FEATURES)
        for each in views:
            if not may(each.name):
                raise NotFound(f"There is no {each.kind.noun} named {each.name!r}.")
            record: ViewRecord = convert(catalog.get(tx, each).record, ViewRecord)
            source = pins.get(record.view.source.whole, record.view.source)
            against, admitted = weigh(self._datasets, tx, record, source, purpose)
            reasons += against
            consents += [consent for consent in admitted.consents if consent not in consents]
            masks |= admitted.masks
            personal += admitted.personal
        if reasons:
            raise refusal(list(dict.fromkeys(reasons)))
        return Admitted(consents=consents, masks=masks, personal=personal)

    @operation("read", on="", data=True)
    def joined(self, tx: Transaction, joins: Sequence[Joining]) -> None:
        """Remember how long a training set took, for each of its views that the caller may read: what a view costs."""
        may = scopes.may_read(tx, Kind.FEATURES)
        for each in joins:
            if may(each.view.name) and each.seconds >= 0 and each.rows >= 0:
                queries.note_join(tx, replace(each, view=catalog.resolve(tx, each.view)))

"""The service: what columns are about, who decided it, what they may be used for, and the keys of pseudonyms."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modelwright.core.errors import Denied, Invalid, NotFound
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.datasets.classes import ColumnClass, ColumnMask, Status, check_mask, check_tag, hides_no_less, masks_for
from modelwright.datasets.privacy import queries
from modelwright.datasets.privacy.keys import Pseudonymizer, PurposeKeys, number_of, token_of
from modelwright.datasets.privacy.records import (
    ALL,
    BASES,
    FORGOTTEN,
    ROTATED,
    Permit,
    PrivacySettings,
    Pseudonyms,
    Revealed,
    check_purpose,
)
from modelwright.datasets.privacy.vault import Forgotten
from modelwright.datasets.records import DatasetRecord, DatasetVersion
from modelwright.store import Transaction, catalog, scopes

FOUND = "found: whoever did it did not come to tell it"
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
MOST_VALUES = 1000  # that are looked up at a time


class Privacy(Room):
    """Classes of columns, what they may be used for, and pseudonyms."""

    room, kind = "privacy", Kind.DATASET

    def __init__(
        self, caller: Caller, *, settings: PrivacySettings = PrivacySettings(), keys: PurposeKeys | None = None
    ) -> None:
        """`keys` are where the workspace is; at a distance there are none."""
        super().__init__(caller)
        self.settings = settings
        self._keys = keys

    @operation("read")
    def classes(self, tx: Transaction, ref: Ref) -> Sequence[ColumnClass]:
        """Say what the columns of a version are about: declared, found with evidence, confirmed or rejected."""
        return queries.shown(tx, [catalog.get(tx, ref)])[0].classes

    @operation("read", on="")
    def open(self, tx: Transaction, where: Filter = Filter()) -> Sequence[DatasetVersion]:
        """The newest version of every dataset that has findings which nobody has confirmed or rejected yet."""
        page = catalog.list_things(tx, Kind.DATASET, where)
        return [version for version in queries.shown(tx, page.items) if version.unconfirmed]

    @operation("label", event="privacy.column.classified")
    def classify(
        self, tx: Transaction, ref: Ref, column: str, tag: str, *, holds: bool = True, mask: str = "", reason: str = ""
    ) -> DatasetVersion:
        """Confirm that a column is of a class, or (`holds=False`) reject it; it holds for every version of the dataset.

        The class may be one that was found, or another that somebody knows of. `mask` is how it is masked for those who may
        not read the class, in place of the usual way. Who may not read the class themselves cannot reject it: `Denied`.
        """
        version = queries.shown(tx, [catalog.get(tx, ref)])[0]
        name, status = version.ref.name, Status.CONFIRMED if holds else Status.REJECTED
        version.column(column)
        family = check_tag(tag).partition(".")[0]
        if mask and check_mask(mask).partition(":")[0] and family == "proxy":
            raise Invalid("A proxy is not masked: it is a matter of what decisions rest on.", mend="Leave the mask out.")
        before = next((each for each in version.classes if (each.column, each.tag) == (column, tag)), None)
        if before is None and not holds:
            raise NotFound(f"Nobody said that {column!r} of {version.ref} is {tag}.", mend=f"mw data classes {version.ref}")
        if family != "proxy":
            self._refuse_weaker(tx, version, ColumnClass(column=column, tag=tag, status=status, mask=mask), before)
        if before is not None and (before.status, before.mask) == (status, mask):
            tx.unchanged()
            return version
        queries.decide(tx, name, column, tag, status, mask, reason)
        queries.protect(tx, self.blobs, name)
        tx.note(
            resource=version.ref,
            before={"status": before.status.value if before else ""},
            after={"column": column, "class": tag, "status": status.value, "mask": mask},
        )
        return queries.shown(tx, [catalog.get(tx, version.ref)])[0]

    @operation("validate")
    def foresee(self, tx: Transaction, name: str, *, record: DatasetRecord) -> Sequence[ColumnMask]:
        """Say what of a version that is about to be added and checked the caller will read masked.

        By what was found and decided. It takes the right that checks take, so who has not learns it before they add.
        """
        classes = queries.classes_of(record, queries.decided(tx, [name])[name])
        return masks_for(classes, queries.revealed(tx, name) if classes else set())

    @operation("validate", event="privacy.purposes.permitted")
    def permit(
        self,
        tx: Transaction,
        ref: Ref,
        purposes: Sequence[str],
        *,
        columns: Sequence[str] = (ALL,),
        basis: str = "",
        consent: str = "",
        subject: str = "",
        reason: str = "",
    ) -> Sequence[Permit]:
        """Say what columns of a dataset may be used for, on which legal basis; without purposes, for nothing.

        It takes the place of what was said before. On the basis of consent, `consent` names a column of booleans and
        `subject` the one that says whose rows they are: the latest answer of a subject holds for all of their rows. A use
        declares its purpose, and one that is not permitted is refused.
        """
        version = queries.shown(tx, [catalog.get(tx, ref)])[0]
        for name in [*(each for each in columns if each != ALL), *filter(None, [consent, subject])]:
            version.column(name)
        if consent and version.column(consent).type != "bool":
            raise Invalid(
                f"{consent!r} holds {version.column(consent).type}, not yes or no.", mend="Name a column of bool."
            )
        if bool(consent) != (basis == "consent") or (consent and not subject):
            raise Invalid(
                "The basis `consent` needs a column that says whether it was given, and one that says by whom.",
                mend="Name both: --consent and --subject; other bases have neither.",
            )
        if basis and basis not in BASES:
            raise Invalid(f"{basis!r} is no legal basis.", mend=f"There are {', '.join(BASES)} (GDPR, article 6).")
        wanted = sorted({check_purpose(each) for each in purposes})
        for column in columns:
            queries.permit(
                tx,
                version.ref.name,
                Permit(column=column, purposes=wanted, basis=basis, consent=consent, subject=subject),
            )
        tx.note(resource=version.ref.whole, after={"columns": list(columns), "purposes": wanted, "basis": basis})
        return list(queries.permitted(tx, version.ref.name).values())

    @operation("read")
    def permits(self, tx: Transaction, ref: Ref) -> Sequence[Permit]:
        """Say what the columns of a dataset may be used for."""
        return list(queries.permitted(tx, catalog.get(tx, ref).ref.name).values())

    @operation("erase", event=ROTATED, on="")
    def rotate(self, tx: Transaction, purpose: str, *, reason: str) -> int:
        """Make a new key for the pseudonyms of a purpose, and return its number; the old ones are kept for `lookup`.

        Tokens of the vault stay as they are: they were drawn, and are sealed anew.
        """
        keys = self._here()
        self.settle(purpose)
        before = keys.present(purpose).number
        made = keys.rotate(purpose).number
        keys.vault(purpose).renew()
        tx.note(resource=Ref(Kind.DATASET, purpose), before={"key": before}, after={"key": made, "purpose": purpose})
        return made

    @operation("erase", event=ROTATED, on="")
    def settle(self, tx: Transaction, purpose: str = "") -> Sequence[str]:
        """Put on the record what was done to keys and vaults and is not on it, and say what in a sentence each.

        Files are changed before the event of it is committed: whoever is killed in between, or cannot commit, leaves a
        key that nobody is told of, or values that are forgotten and not told. A running server looks for such by itself,
        and each change of a purpose does so first.
        """
        keys, told = self._here(), list[str]()
        tx.unchanged()  # each has an event of its own
        for each in [check_purpose(purpose)] if purpose else keys.purposes():
            vault, about = keys.vault(each), Ref(Kind.DATASET, each)
            made, forgotten = keys.all(each)[1:], vault.forgotten()
            if not made and not forgotten:
                continue
            known = queries.told_of(tx, about)
            for key in made:
                if key.number not in known.keys:
                    vault.renew()
                    before, after = {"key": key.number - 1}, {"key": key.number, "purpose": each, "found": True}
                    tx.record(ROTATED, about, before=before, after=after, reason=FOUND)
                    told.append(f"Key {key.number} of {each} was made and not told.")
            for gone in forgotten:
                if gone.id not in known.forgotten:
                    after = {"purpose": each, "count": gone.values, "id": gone.id, "found": True, "by": gone.author}
                    tx.record(FORGOTTEN, about, after=after, reason=gone.reason)
                    what = "1 value was" if gone.values == 1 else f"{gone.values} values were"
                    told.append(f"{what} forgotten for {each} by {gone.author}, and that was not told.")
        return told

    @operation("reveal.pii", on="")
    def lookup(self, tx: Transaction, purpose: str, values: Sequence[str]) -> Sequence[Pseudonyms]:
        """The pseudonyms of some values under a purpose: with the present key, with each that it had before, and drawn.

        A whole number has two of each: one as text, and one as columns of numbers have it.
        """
        _check_number("values", values)
        secrets, vault = self.secrets(purpose), self._here().vault(purpose)
        return [
            Pseudonyms(
                tokens=[token_of(secret, value) for secret in secrets],
                numbers=[number_of(secret, int(value)) for secret in secrets] if _WHOLE.fullmatch(value) else [],
                drawn=vault.find(_kinds(value)),
            )
            for value in values
        ]

    @operation("reveal.pii", event="privacy.tokens.revealed", on="")
    def reveal(self, tx: Transaction, purpose: str, tokens: Sequence[str], *, reason: str) -> Sequence[Revealed]:
        """Say what tokens of a purpose's vault stand for, with the reason why somebody had to know.

        The ledger holds who asked for which tokens and why, and no value; what is no token is only counted, since it may be
        a value that somebody took for one. A token that was drawn for a column of a special
        class takes the right to read these as well: without it, all is `Denied`. From pseudonyms that a key made there is
        no way back: `lookup` goes the other way.
        """
        _check_number("tokens", tokens)
        found = self._here().vault(check_purpose(purpose)).open(tokens)
        for family in sorted({family for each in found if each is not None for family in each.families}):
            if not tx.allowed(f"reveal.{family}", Resource(Kind.DATASET)):
                raise Denied(
                    f"{tx.principal.id} may not read {family} in clear, which some of these tokens stand for.",
                    mend=f"See who may: mw who-can reveal.{family} dataset:*",
                )
        known = [token for token, each in zip(tokens, found, strict=True) if each is not None]
        told = {"purpose": purpose, "tokens": known, "others": len(tokens) - len(known)}
        tx.note(resource=Ref(Kind.DATASET, purpose), after=told)
        return [Revealed(token=token, value=each and each.value) for token, each in zip(tokens, found, strict=True)]

    @operation("erase", event=FORGOTTEN, on="")
    def forget(
        self, tx: Transaction, purpose: str, *, values: Sequence[str] = (), tokens: Sequence[str] = (), reason: str
    ) -> int:
        """Take values out of the vault of a purpose, named themselves or by their tokens; how many there were.

        What was handed out under their tokens is nobody's from then on, for good. Rows that are read later have others.
        """
        _check_number("values and tokens", [*values, *tokens])
        if not values and not tokens:
            raise Invalid("Nothing is named that should be forgotten.", mend="Name values, or their tokens.")
        vault = self._here().vault(check_purpose(purpose))
        self.settle(purpose)
        gone = Forgotten(tx.new_id(), 0, tx.principal.id, reason)
        count = vault.forget([kind for value in values for kind in _kinds(value)], gone, tokens=tokens)
        if not count:
            tx.unchanged()
        else:
            after = {"purpose": purpose, "count": count, "id": gone.id}
            tx.note(resource=Ref(Kind.DATASET, purpose), after=after)
        return count

    @operation("read", on="")
    def admit(self, tx: Transaction, digest: str) -> None:
        """Let an object pass, unless it holds columns that are masked for the caller: then it is `Denied`."""
        refuse_withheld(tx, [digest])

    def making(self, purpose: str) -> tuple[int, Pseudonymizer]:
        """The number of the present key, and what pseudonyms are made with, where the workspace is."""
        keys = self._here()
        found = keys.present(purpose)
        return found.number, Pseudonymizer(found.secret, keys.vault(purpose))

    def secrets(self, purpose: str) -> Sequence[bytes]:
        """The secrets of a purpose, the present one first, where the workspace is."""
        return self._here().secrets(purpose)

    def _refuse_weaker(
        self, tx: Transaction, version: DatasetVersion, decision: ColumnClass, before: ColumnClass | None
    ) -> None:
        """`Denied` where somebody who reads a column masked would have it masked otherwise, so that it might show more.

        Another class of the same column counts as well: it brings a mask of its own.
        """
        name, column, revealed = version.ref.name, decision.column, queries.revealed(tx, version.ref.name)
        others = [each for each in version.classes if (each.column, each.tag) != (column, decision.tag)]
        masked = {each.column: each for each in version.masks}.get(column)
        after = next((each for each in masks_for([*others, decision], revealed) if each.column == column), None)
        chosen = decision.mask != (before.mask if before is not None else "")
        family = decision.family if decision.family not in revealed else ""
        weaker = not decision.holds or (chosen and before is not None)
        if masked is not None and (chosen or after is None or not hides_no_less(after.mask, masked.mask)):
            family, weaker = masked.tags[0].partition(".")[0], True
        if weaker and family:
            raise Denied(
                f"{tx.principal.id} may not decide how {column!r} is shown: they may not read {family} in clear.",
                mend=f"See who may: mw who-can reveal.{family} dataset:{name}",
            )

    def _here(self) -> PurposeKeys:
        if self._keys is None:
            raise RuntimeError("the keys of pseudonyms are where the workspace is")
        return self._keys


def _check_number(what: str, given: Sequence[str]) -> None:
    if len(given) > MOST_VALUES:
        raise Invalid(f"{len(given)} {what} at once; it takes {MOST_VALUES} at most.", mend="Ask several times.")


def _kinds(value: str) -> list[str | int]:
    """A value as text, and as a whole number where it is one."""
    return [value, int(value)] if _WHOLE.fullmatch(value) else [value]


def mask_values(values: Sequence[object], mask: str, made: Pseudonymizer, *, moment: bool = False) -> Sequence[object]:
    """Values masked as a column of them would be; `moment` for times that travel as RFC 3339 text."""
    from modelwright.datasets.privacy import masks

    if not moment:
        return masks.mask_values(values, mask, made)
    cut = {"truncate:year": (4, "-01-01T00:00:00Z"), "truncate:month": (7, "-01T00:00:00Z")}.get(mask)
    return [f"{each[: cut[0]]}{cut[1]}" if cut is not None and isinstance(each, str) else None for each in values]


def refuse_withheld(tx: Transaction, digests: Sequence[str], *, unless: str = "") -> None:
    """`Denied` where an object holds columns of a dataset that the caller may not read in clear."""
    if held := queries.withheld(tx, digests, unless=unless):
        may = scopes.may_read(tx, Kind.DATASET)
        name = next(filter(may, held), None)
        if name is None:  # whoever may not read it is not told that it is there
            raise Denied(f"This holds columns that are masked for {tx.principal.id}.", mend="Ask whoever made it.")
        raise Denied(
            f"This holds columns of dataset:{name} that are masked for {tx.principal.id}.",
            mend=f"Read the rows, masked: mw data head dataset:{name}; see who may: mw who-can reveal.pii dataset:{name}",
        )

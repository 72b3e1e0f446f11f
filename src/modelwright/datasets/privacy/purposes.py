"""What data may be used for: a use declares its purpose, and is refused where a column does not permit it."""

from __future__ import annotations

from collections.abc import Sequence

from modelwright.core.errors import Refused
from modelwright.datasets.privacy import queries
from modelwright.datasets.privacy.records import check_purpose
from modelwright.store import Transaction


def reasons_against(tx: Transaction, name: str, columns: Sequence[str], purpose: str) -> list[str]:
    """Why some columns of a dataset may not be used for a purpose: a sentence each, or none."""
    held, found = queries.permitted(tx, name), []
    for column in columns:
        permit = queries.permit_for(held, column)
        if permit is None or (purpose and purpose in permit.purposes):
            continue
        allowed = ", ".join(permit.purposes) or "nothing"
        asked = f"not for {purpose}" if purpose else "and no purpose was declared"
        basis = f" (basis: {permit.basis})" if permit.basis else ""
        found.append(f"{column} of dataset:{name} may be used for {allowed}{basis}, {asked}")
    return found


def refuse_purpose(tx: Transaction, name: str, columns: Sequence[str], purpose: str) -> None:
    """`Refused` with every reason, where a dataset may not be used for a purpose."""
    if purpose:
        check_purpose(purpose)
    if reasons := reasons_against(tx, name, columns, purpose):
        raise refusal(reasons)


def refusal(reasons: Sequence[str]) -> Refused:
    """The error that names every reason."""
    return Refused(
        "The data may not be used for this:\n" + "\n".join(f"  {each}" for each in reasons),
        mend="Declare a permitted purpose, decide what is open, or leave these columns out; mw data permits says which "
        "purposes there are.",
        details={"reasons": list(reasons)},
    )

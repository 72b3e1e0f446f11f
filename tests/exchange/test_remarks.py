"""What is remarked of single things is told of the first of them, and counted of the rest."""

from modelwright.exchange.remarks import SHOWN, Remarks


def test_things_that_are_alike_are_summed_up_and_all_of_them_kept() -> None:
    remarks = Remarks()
    for number in range(SHOWN + 20):
        remarks.add("has files that cannot be had", f"run:{number}: s3://bucket/{number}")
    remarks.add("is an alias", "delay@champion")
    assert list(remarks.lines()) == [
        *(f"run:{number} has files that cannot be had: s3://bucket/{number}" for number in range(SHOWN)),
        "The same holds for 20 more; --json names them all.",
        "delay@champion is an alias.",
    ]
    assert len(remarks.all()["has files that cannot be had"]) == SHOWN + 20

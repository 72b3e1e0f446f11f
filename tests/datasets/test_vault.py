"""The vault of a purpose: tokens that were drawn, the way back, and what is forgotten."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from modelwright.core.errors import Corrupt
from modelwright.datasets.classes import ColumnMask
from modelwright.datasets.privacy import Pseudonymizer, PurposeKeys
from modelwright.datasets.privacy.keys import Key
from modelwright.datasets.privacy.masks import mask_table, mask_values
from modelwright.datasets.privacy.vault import BITS, Opened
from tests.waiting import LONG

PII, SPECIAL = frozenset({"pii"}), frozenset({"special"})


@pytest.fixture
def keys(tmp_path: Path) -> PurposeKeys:
    return PurposeKeys(tmp_path / "keys")


def test_a_value_has_one_token_of_its_kind_and_the_token_leads_back(keys: PurposeKeys) -> None:
    vault = keys.vault("fraud")
    ada, bob, again = vault.issue(["ada@example.org", "bob@example.org", "ada@example.org"], PII)
    assert ada == again != bob and len(ada) == 32
    seven, eight = vault.issue([7, 8], PII)
    assert all(0 <= each < 2**BITS for each in (seven, eight)) and seven != eight
    (text,) = vault.issue(["7"], SPECIAL)
    assert keys.vault("fraud").issue([7], PII) == [seven] and text != str(seven)
    assert vault.open([bob, str(seven), text, "0" * 32]) == [
        Opened("bob@example.org", PII),
        Opened("7", PII),
        Opened("7", SPECIAL),
        None,
    ]
    assert vault.find(["nobody", "ada@example.org", 8]) == [ada, str(eight)]
    assert keys.vault("marketing").issue(["ada@example.org"], PII) != [ada]
    assert keys.vault("scoring").open([ada]) == [None] and not keys.all("scoring")  # to ask makes no key


def test_a_value_of_several_columns_is_asked_back_with_the_rights_of_all(keys: PurposeKeys) -> None:
    vault = keys.vault("fraud")
    (token,) = vault.issue(["ada"], PII)
    assert vault.issue(["ada"], SPECIAL) == [token]
    assert vault.open([token]) == [Opened("ada", PII | SPECIAL)]


def test_what_is_forgotten_is_in_no_byte_of_the_file_and_its_token_is_nobodys(keys: PurposeKeys, tmp_path: Path) -> None:
    vault = keys.vault("fraud")
    tokens = vault.issue([f"person {n}" for n in range(300)], PII)
    file = tmp_path / "keys" / "fraud.vault"
    with sqlite3.connect(file) as connection:
        ((sealed,),) = connection.execute("SELECT sealed FROM tokens WHERE token = ?", [tokens[7]])
    assert sealed in file.read_bytes() and b"person 7" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = vault.changes
    assert vault.forget(["person 7", "person 7", "a stranger"]) == 1 and vault.changes == before + 1
    assert sealed not in file.read_bytes() and tokens[7].encode() not in file.read_bytes()
    assert not file.with_name("fraud.vault-journal").exists()
    assert vault.open(tokens[6:9]) == [Opened("person 6", PII), None, Opened("person 8", PII)]
    assert vault.issue(["person 7"], PII) != [tokens[7]]
    assert vault.forget(["a stranger"]) == 0 and keys.vault("never").forget(["ada"]) == 0


def test_a_new_key_seals_anew_and_tokens_stay(keys: PurposeKeys, tmp_path: Path) -> None:
    vault = keys.vault("fraud")
    tokens = vault.issue(["ada", "7"], PII)
    (number,) = vault.issue([7], PII)
    keys.rotate("fraud")
    assert vault.issue(["ada"], PII) == tokens[:1]  # also before all is sealed anew
    vault.renew()
    file = tmp_path / "keys" / "fraud.key"
    file.write_text(file.read_text().splitlines()[1] + "\n")  # the old key is gone
    assert vault.issue(["ada", "7"], PII) == tokens and vault.issue([7], PII) == [number]
    assert vault.open([*tokens, str(number)]) == [Opened("ada", PII), Opened("7", PII), Opened("7", PII)]
    file.unlink()
    assert vault.open(tokens) == [None, None]  # the file alone leads nowhere
    assert vault.issue(["ada"], PII) != tokens[:1]


def _issue(folder: Path, values: list[str]) -> list[str]:
    return PurposeKeys(folder).vault("fraud").issue(values, PII)


def test_threads_and_processes_draw_one_token_for_one_value(tmp_path: Path) -> None:
    values, found = [f"person {n}" for n in range(400)], list[list[str]]()
    PurposeKeys(tmp_path).present("fraud")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        others = [pool.apply_async(_issue, (tmp_path, values)) for _ in range(2)]
        threads = [threading.Thread(target=lambda: found.append(_issue(tmp_path, values))) for _ in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        found += [each.get(LONG) for each in others]
    assert len(found) == 5 and all(each == found[0] for each in found) and len(set(found[0])) == 400


def test_columns_are_masked_by_drawn_tokens_and_what_has_no_form_for_one_is_missing(keys: PurposeKeys) -> None:
    made = Pseudonymizer(keys.present("fraud").secret, keys.vault("fraud"))
    table = pa.table({"mail": ["a", None, "b", "a"], "ssn": [1, 2, None, 1], "rate": [0.5, 1.5, 2.5, None]})
    masks = [ColumnMask(column=name, mask="vault:pii", tags=["pii.x"]) for name in table.column_names]
    masked = mask_table(table, masks, made)
    mail, ssn, rate = (masked[name].to_pylist() for name in masked.column_names)
    assert mail[0] == mail[3] != mail[2] and mail[1] is None and masked.schema.types == table.schema.types
    assert ssn[0] == ssn[3] != ssn[1] and ssn[2] is None and rate == [None] * 4
    assert mask_values(["b", None, "a"], "vault:pii", made) == [mail[2], None, mail[0]]
    assert mask_values([None, None], "vault:pii", made) == [None, None]
    assert [each and each.value for each in made.vault.open([mail[0], str(ssn[1])])] == ["a", "2"]


def test_a_file_that_is_no_vault_is_told_and_left_as_it_is(keys: PurposeKeys, tmp_path: Path) -> None:
    keys.present("fraud")
    file = tmp_path / "keys" / "fraud.vault"
    file.write_bytes(b"no database at all, and longer than a header of one" * 30)
    before = file.read_bytes()
    for work in (lambda: keys.vault("fraud").issue(["a"], PII), lambda: keys.vault("fraud").open(["a"])):
        with pytest.raises(Corrupt, match=r"fraud\.vault is no vault"):
            work()
    assert file.read_bytes() == before


def test_a_masked_value_that_its_type_does_not_hold_is_missing(keys: PurposeKeys) -> None:
    made = Pseudonymizer(keys.present("fraud").secret, keys.vault("fraud"))
    far = pa.array([2**60, -(2**60), 0], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    table = pa.table(
        {
            "small": pa.array([-128, 127, 1], pa.int8()),
            "large": pa.array([2**63 - 1, -(2**63), 5], pa.int64()),
            "born": far,
            "local": far.cast(pa.timestamp("us")),
            "day": pa.array([2**30, -(2**30), 40], pa.int32()).cast(pa.date32()),
        }
    )

    def masked(column: str, mask: str) -> list[object]:
        (found,) = mask_table(table.select([column]), [ColumnMask(column=column, mask=mask, tags=["pii"])], made).columns
        assert found.type == table[column].type
        return found.cast(pa.int32() if column == "day" else pa.int64()).to_pylist()

    assert masked("small", "truncate:1") == [None, 120, 0]
    assert masked("small", "bucket:100") == [None, 100, 0]
    assert masked("large", "bucket:1000") == [(2**63 - 1) // 1000 * 1000, None, 0]
    for column in ("born", "local"):
        assert masked(column, "truncate:year") == [None, None, 0]
        assert masked(column, "shift:9")[:2] == [None, None]
    assert masked("day", "truncate:month") == [None, None, 31]
    assert masked("day", "shift:9")[:2] == [None, None]


def test_several_who_make_the_first_key_at_once_have_the_same(tmp_path: Path) -> None:
    for turn in range(50):
        purpose, start, made = f"p{turn}", threading.Barrier(4), list[Key]()

        def make(purpose: str = purpose, start: threading.Barrier = start, made: list[Key] = made) -> None:
            start.wait()
            made.append(PurposeKeys(tmp_path).present(purpose))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({key.secret for key in made}) == 1
        assert PurposeKeys(tmp_path).secrets(purpose) == [made[0].secret]
    PurposeKeys(tmp_path).rotate("p0")
    assert [key.number for key in PurposeKeys(tmp_path).all("p0")] == [1, 2]
    assert {path.suffix for path in tmp_path.iterdir()} == {".key"}


def test_keys_of_one_number_are_all_looked_for(tmp_path: Path) -> None:
    keys = PurposeKeys(tmp_path)
    keys.present("fraud")
    held = (tmp_path / "fraud.key").read_text()
    keys.rotate("fraud")
    other = (tmp_path / "fraud.key").read_text().removeprefix(held)
    (tmp_path / "fraud.key").write_text(held + other.replace("2 ", "1 ", 1))  # as two made them at once
    assert len(keys.secrets("fraud")) == 2

"""Numbers that carry a check digit: payment cards, bank accounts, national identity numbers. Each function takes one text.

Sources: ISO/IEC 7812 (Luhn, issuer prefixes), ISO 13616 (IBAN), ISO 7064 (mod 97, mod 11,10), and the issuing authorities'
published rules for the national numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_SEPARATORS: Final = re.compile(r"[ \-./]")
_IBAN: Final = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27,
    "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26, "AE": 23,
    "IL": 23, "SA": 24, "BR": 29, "UA": 29,
}  # fmt: skip
_CARD: Final = re.compile(
    r"4\d{12}(\d{3})?(\d{3})?|5[1-5]\d{14}|2(22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"3(0[0-5]|[68]\d)\d{11}|6(011|5\d\d|4[4-9]\d)\d{12}|35(2[89]|[3-8]\d)\d{12}|(5018|5020|5038|6304|6759|676[1-3])\d{8,15}|"
    r"(2131|1800)\d{11}|62\d{14,17}"
)


def plain(text: str) -> str:
    """Without the separators that people write into numbers."""
    return _SEPARATORS.sub("", text)


def luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812, annex B."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        number = int(char) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def is_card(text: str) -> bool:
    """A payment card: an issuer's prefix and length, and the check digit. The check alone one number in ten passes."""
    digits = plain(text)
    return _CARD.fullmatch(digits) is not None and luhn(digits)


def is_iban(text: str) -> bool:
    """An international bank account number: a country's length, and mod 97 = 1."""
    code = plain(text).upper()
    if _IBAN.get(code[:2]) != len(code) or not code.isalnum() or not code.isascii():
        return False
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def is_ean(digits: str) -> bool:
    """An article number (EAN-13, EAN-8, UPC): evidence that a number is of a thing and not of a person."""
    if len(digits) not in (8, 12, 13) or not digits.isdigit():
        return False
    weighted = sum(int(char) * (3 if place % 2 else 1) for place, char in enumerate(reversed(digits)))
    return weighted % 10 == 0


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(char) * weight for char, weight in zip(digits, weights, strict=False))


def _day_and_month(day: str, month: str) -> bool:
    return 1 <= int(day) <= 31 and 1 <= int(month) <= 12


def _ssn(text: str) -> bool:  # United States; no check digit, so only as it is written
    found = re.fullmatch(r"(\d{3})-(\d{2})-(\d{4})", text)
    return found is not None and found[1] not in ("000", "666") and found[2] != "00" and found[3] != "0000"


def _nino(text: str) -> bool:  # United Kingdom
    code = text.replace(" ", "").upper()
    return re.fullmatch(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]?", code) is not None


def _steuer_id(digits: str) -> bool:  # Germany: ISO 7064 mod 11,10, and a digit that stands twice or three times
    if not re.fullmatch(r"[1-9]\d{10}", digits) or not 8 <= len(set(digits[:10])) <= 9:
        return False
    product = 10
    for char in digits[:10]:
        product = ((int(char) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _rvnr(code: str) -> bool:  # Germany, pensions: area, date of birth, letter, two digits, check
    found = re.fullmatch(r"(\d{2})(\d{2})(\d{2})\d{2}([A-Z])\d{3}", code)
    if found is None or not 1 <= int(found[3]) <= 12:
        return False
    digits = code[:8] + f"{ord(found[4]) - 64:02}" + code[9:11]
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    total = sum(sum(map(int, str(int(char) * weight))) for char, weight in zip(digits, weights, strict=True))
    return total % 10 == int(code[11])


def _nir(code: str) -> bool:  # France: 97 less the remainder
    found = re.fullmatch(r"([1-478]\d{2}(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d{2}|2[AB])\d{6})(\d{2})", code)
    if found is None:
        return False
    number = found[1].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(found[2])


def _dni(code: str) -> bool:  # Spain: the letter is the number mod 23
    found = re.fullmatch(r"([XYZ]?)(\d{7,8})([A-Z])", code)
    if found is None or len(found[1]) + len(found[2]) != 8:
        return False
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int({"": "", "X": "0", "Y": "1", "Z": "2"}[found[1]] + found[2]) % 23] == found[3]


_ODD: Final = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22,
     25, 24, 23], strict=True))  # fmt: skip


def _codice_fiscale(code: str) -> bool:  # Italy
    if not re.fullmatch(r"[A-Z]{6}[\dL-NP-V]{2}[A-EHLMPR-T][\dL-NP-V]{2}[A-Z][\dL-NP-V]{3}[A-Z]", code):
        return False
    total = sum(
        int(char, 36) - (10 if char.isalpha() else 0) if place % 2 else _ODD[char] for place, char in enumerate(code[:15])
    )
    return chr(65 + total % 26) == code[15]


def _bsn(digits: str) -> bool:  # the Netherlands: the test of eleven
    if not re.fullmatch(r"\d{9}", digits) or len(set(digits)) < 3:
        return False
    return _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _pesel(digits: str) -> bool:  # Poland: the date of birth with the century in the month
    if not re.fullmatch(r"\d{11}", digits) or not _day_and_month(digits[4:6], f"{int(digits[2:4]) % 20:02}"):
        return False
    return (10 - _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(digits[10])


def _personnummer(text: str) -> bool:  # Sweden
    found = re.fullmatch(r"(?:\d{2})?(\d{2})(\d{2})(\d{2})[-+]?(\d{4})", text)
    if found is None or not _day_and_month(found[3], found[2]):
        return False
    return luhn("".join(found.groups()))


def _hetu(text: str) -> bool:  # Finland
    found = re.fullmatch(r"(\d{2})(\d{2})(\d{2})[-+A-FU-Y](\d{3})([0-9A-Y])", text)
    if found is None or not _day_and_month(found[1], found[2]):
        return False
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(found[1] + found[2] + found[3] + found[4]) % 31] == found[5]


def _cpf(digits: str) -> bool:  # Brazil
    if not re.fullmatch(r"\d{11}", digits) or len(set(digits)) == 1:
        return False
    for length in (9, 10):
        check = _weighted(digits, tuple(range(length + 1, 1, -1))) * 10 % 11 % 10
        if check != int(digits[length]):
            return False
    return True


def _ahv(digits: str) -> bool:  # Switzerland: an EAN-13 under 756
    return digits.startswith("756") and len(digits) == 13 and is_ean(digits)


def _fodselsnummer(digits: str) -> bool:  # Norway
    if not re.fullmatch(r"\d{11}", digits) or not _day_and_month(digits[:2], digits[2:4]):
        return False
    first = _weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1))
    return first % 11 == 0 and _weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def _rijksregister(digits: str) -> bool:  # Belgium: 97 less the remainder, with a 2 before it from 2000 on
    if not re.fullmatch(r"\d{11}", digits) or not (int(digits[2:4]) <= 12 and int(digits[4:6]) <= 31):
        return False
    return int(digits[9:]) in (97 - int(digits[:9]) % 97, 97 - int("2" + digits[:9]) % 97)


def _sin(text: str) -> bool:  # Canada, as it is written
    return re.fullmatch(r"\d{3}[ -]\d{3}[ -]\d{3}", text) is not None and luhn(plain(text))


NATIONAL: Final[dict[str, tuple[Callable[[str], bool], bool]]] = {  # name: check, whether it takes the text as written
    "us-ssn": (_ssn, True), "uk-nino": (_nino, True), "se-personnummer": (_personnummer, True), "fi-hetu": (_hetu, True),
    "ca-sin": (_sin, True), "de-steuer-id": (_steuer_id, False), "de-rvnr": (_rvnr, False), "fr-nir": (_nir, False),
    "es-dni": (_dni, False), "it-codice-fiscale": (_codice_fiscale, False), "nl-bsn": (_bsn, False),
    "pl-pesel": (_pesel, False), "br-cpf": (_cpf, False), "ch-ahv": (_ahv, False),
    "no-fodselsnummer": (_fodselsnummer, False), "be-rijksregister": (_rijksregister, False),
}  # fmt: skip

"""What the values of a column say: detectors over distinct values as text. Each tells the share of values that match.

What looks alike is held against it: article numbers and moments are no phone numbers, versions no IP addresses,
companies and towns no people.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from modelwright.datasets.detecting import words
from modelwright.datasets.detecting.checksums import NATIONAL, is_card, is_ean, is_iban, plain

FEW: Final = 3  # distinct values, below which values alone say nothing, unless nothing else is written so
SOME: Final = 12  # below which words and forms say nothing


class Match(NamedTuple):
    """What one detector says of some values."""

    tag: str
    detector: str
    share: float
    confidence: float  # that it is so, going by the values alone


_EMAIL: Final = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9\w-]+(\.[\w-]+)*\.[^\W\d_]{2,}")
_EMAIL_IN: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*[A-Za-z]{2}")
_PHONE: Final = re.compile(r"(\+|00)?[\d(][\d ()./\-]{5,22}\d(\s*(x|ext\.?|#)\s*\d{1,6})?", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"\s*(x|ext\.?|#)\s*\d+$", re.IGNORECASE)
_PHONE_IN: Final = re.compile(
    r"(?<![\w.])(\+\d{1,3}[ .-]?)?(\(\d{2,5}\)|\d{2,5})[ ./-]\d{2,4}([ ./-]\d{2,5}){0,3}(?![\w.])"
)
_DATE: Final = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})([T ]00:00(:00)?(\.0+)?Z?)?|(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})|"
    r"(?:\d{1,2}\.? [^\W\d]{3,10},? (\d{4})|[^\W\d]{3,10} \d{1,2},? (\d{4}))"
)
_NUMBER: Final = re.compile(r"\d+")
_ICD: Final = re.compile(r"[A-TV-Z]\d[0-9AB](\.[0-9A-Z]{1,4})?")
_COORDINATES: Final = re.compile(
    r"\(?\s*[-+]?\d{1,2}\.\d{3,}\s*°?\s*[NS]?[,; ]\s*[-+]?\d{1,3}\.\d{3,}\s*°?\s*[EW]?\s*\)?"
    r"|POINT ?\(\s*[-+]?\d+\.\d+ [-+]?\d+\.\d+\s*\)"
)
_UK_POSTCODE: Final = re.compile(r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}")
_NAME_PART: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|['’\-.])*")
_TITLES: Final = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "miss",
        "dr",
        "prof",
        "mx",
        "sir",
        "herr",
        "frau",
        "dipl",
        "ing",
        "univ",
        "mme",
        "mlle",
        "m",
        "sr",
        "sra",
        "srta",
        "dott",
        "dott.ssa",
        "sig",
        "sig.ra",
        "sig.na",
        "pan",
        "pani",
        "dhr",
        "mevr",
        "dhr.",
        "mw",
    ]
)
_AFTER: Final = frozenset(
    ["jr", "sr", "ii", "iii", "iv", "md", "phd", "dds", "dvm", "bsc", "msc", "ma", "mba", "b.sc", "b.a", "b.eng", "m.sc"]
)
_PARTICLES: Final = frozenset(
    [
        "van",
        "von",
        "de",
        "der",
        "den",
        "del",
        "della",
        "di",
        "da",
        "dos",
        "du",
        "la",
        "le",
        "el",
        "al",
        "bin",
        "ter",
        "ten",
        "y",
        "e",
    ]
)
_SALUTED: Final = re.compile(
    r"(?i:\b(?:mr|mrs|ms|dr|herr|frau|madame|monsieur|señora?|signora?|dear|hello|hi|regards|called|named|with|from)\b)\.? "
    r"[^\W\d_a-z][^\W\d_]+"
)
_NUMBERED: Final = re.compile(r"(?:^|\s|,)(?:n[°º.]|nr\.?)?\s*\d{1,5}\s*[A-Za-z]?(?=$|[\s,/\n.-])", re.IGNORECASE)


def detect(values: Sequence[str], *, numbers: bool = False) -> list[Match]:
    """Every class that the distinct values of a column of text, or of whole numbers, speak of."""
    found = [match for each in (_OF_NUMBERS if numbers else _DETECTORS) if (match := each(values)) is not None]
    if any(match.tag in ("pii.address", "pii.text") for match in found):
        found = [match for match in found if match.tag != "pii.name"]
    return found


def share_of(values: Sequence[str], holds: Callable[[str], object], least: float = 0.0) -> float:
    """The share of values for which something holds; 0 as soon as it is clear that it will be below `least`."""
    allowed, found = len(values) * (1 - least), 0
    for place, each in enumerate(values):
        if holds(each):
            found += 1
        elif place - found > allowed:
            return 0.0
    return found / len(values) if values else 0.0


def email(values: Sequence[str]) -> Match | None:
    """Addresses as RFC 5322 has them without quotes and comments."""
    share = share_of(values, lambda v: "@" in v and _EMAIL.fullmatch(v.strip()), 0.6)
    return Match("pii.email", "email", share, min(0.99, share)) if share >= 0.6 else None


def address_of_machine(values: Sequence[str]) -> Match | None:
    """IPv4 and IPv6. Four small numbers are a version: of addresses, most have a number above 31."""

    def is_ip(value: str) -> bool:
        if value.count(".") != 3 and ":" not in value:
            return False
        try:
            ipaddress.ip_address(value.strip())
        except ValueError:
            return False
        return True

    share = share_of(values, is_ip, 0.8)
    if share < 0.8 or len(values) < FEW:
        return None
    large = share_of(values, lambda v: ":" in v or any(int(part) > 31 for part in v.strip().split(".") if part.isdigit()))
    return Match("pii.ip", "ip", share, 0.95) if large >= 0.5 else None


def account(values: Sequence[str]) -> Match | None:
    """Bank accounts."""
    share = share_of(values, is_iban, 0.8)
    return Match("pii.iban", "iban", share, 0.99) if share >= 0.8 else None


def card(values: Sequence[str]) -> Match | None:
    """Payment cards."""
    share = share_of(values, is_card, 0.8)
    return Match("pii.card", "card", share, 0.98) if share >= 0.8 and len(values) >= FEW else None


def national_id(values: Sequence[str]) -> Match | None:
    """National identity numbers with their check digits."""
    least = 0.85
    best: Match | None = None
    if share_of(values, lambda v: any(map(str.isdigit, v)), least) == 0:
        return None
    bare = [plain(value.upper()) for value in values]
    for name, (check, as_written) in NATIONAL.items():
        share = share_of(values if as_written else bare, check, least)
        if share >= least and (best is None or share > best.share):
            best = Match("pii.national_id", name, share, 0.9 if len(values) >= SOME else 0.7)
    return best if len(values) >= FEW else None


def phone(values: Sequence[str]) -> Match | None:
    """Numbers as people write them: with a plus, with groups, or with a leading zero and one of a few lengths."""
    if len(values) < SOME:
        return None
    if share_of(values, lambda v: sum(map(str.isdigit, v)) >= 7, 0.8) == 0:
        return None
    bare = [_EXTENSION.sub("", value.strip()) for value in values]
    digits = ["".join(_NUMBER.findall(value)) for value in bare]
    fits = [
        bool(_PHONE.fullmatch(value)) and 7 <= len(number) <= 15 and not _DATE.fullmatch(value)
        for value, number in zip(bare, digits, strict=True)
    ]
    share = sum(fits) / len(fits)
    if share < 0.8 or _of_things(bare, digits):
        return None
    written = share_of(bare, lambda v: v.startswith(("+", "(", "00")) or len(_NUMBER.findall(v)) >= 2)
    if written >= 0.5:
        return Match("pii.phone", "phone", share, 0.85)
    abroad = share_of(bare, lambda v: v.startswith(("+", "00")))
    if abroad >= 0.1 and written + share_of(bare, lambda v: v.isdigit() and v[0] in "03") >= 0.7:
        return Match("pii.phone", "phone", share, 0.7)
    national = share_of(digits, lambda v: v[0] == "0" and v[1:2] != "0" and 9 <= len(v) <= 12)
    american = share_of(digits, lambda v: re.fullmatch(r"1?[2-9]\d\d[2-9]\d{6}", v))
    if national >= 0.95 or (american >= 0.98 and len(values) >= 50):
        return Match("pii.phone", "phone", share, 0.65)
    return None


def _of_things(written: Sequence[str], digits: Sequence[str]) -> bool:
    """Whether numbers are of articles, moments, versions, amounts or cards, rather than of telephones."""
    articles = share_of(digits, is_ean)
    moments = share_of(digits, lambda v: len(v) in (10, 13) and v[0] == "1" and "3" <= v[1] <= "9")
    plain_moments = moments if share_of(written, str.isdigit) > 0.5 else 0.0
    versions = share_of(written, lambda v: re.fullmatch(r"\d{1,3}(\.\d{1,3}){2,3}", v) and len(v) < 11)
    amounts = share_of(written, lambda v: re.fullmatch(r"\d+\.\d+", v))
    return max(articles, plain_moments, share_of(digits, is_card)) > 0.8 or max(versions, amounts) > 0.5


def birth_date(values: Sequence[str]) -> Match | None:
    """Dates that spread over decades, as people's years of birth do; those of things and events lie closer."""
    if len(values) < SOME:
        return None
    found = [match for value in values if (match := _DATE.fullmatch(value.strip()))]
    share = len(found) / len(values)
    if share < 0.9:
        return None
    years = sorted(int(next(part for part in match.groups() if part and len(part) == 4)) for match in found)
    low, middle, high = (years[int(len(years) * at)] for at in (0.05, 0.5, 0.95))
    if high - low >= 25 and 1935 <= middle <= 2005 and years[0] >= 1890 and high <= 2016:
        return Match("pii.birth_date", "dates over decades", share, 0.7)
    return None


def person(values: Sequence[str]) -> Match | None:
    """Names of people: capitalised words, of which enough are frequent given or family names."""
    if len(values) < SOME:
        return None
    named = given = shaped = whole = foreign = 0
    for value in values:
        parts = [part.strip(".,") for part in value.replace(",", " ").split()]
        core = [part for part in parts if part.lower().strip(".") not in words.TITLES | words.AFTER]
        low = [_flat(part) for part in core]
        if any(part in words.FIRM or part in words.PLACE for part in low) or "@" in value or any(map(str.isdigit, value)):
            foreign += 1
            continue
        if not 1 <= len(core) <= 6 or not all(_NAME_PART.fullmatch(part) for part in core):
            continue
        main = [part for part, flat in zip(core, low, strict=True) if flat not in words.PARTICLES]
        shaped += all(part[0].isupper() for part in main) or value.islower() or value.isupper()
        pieces = [piece for part in low for piece in part.split("-")]
        first, last = any(piece in words.GIVEN for piece in pieces), any(piece in words.FAMILY for piece in pieces)
        given += first
        named += first or last
        whole += len(main) >= 2
    count = len(values)
    if foreign / count > 0.15 or shaped / count < 0.75:
        return None
    if whole / count >= 0.6:  # given and family name
        if named / count >= 0.25 and given / count >= 0.12:
            return Match("pii.name", "names", named / count, 0.9 if given / count >= 0.4 else 0.7)
    elif named / count >= (0.4 if count < 30 else 0.16):
        return Match("pii.name", "names", named / count, 0.75 if named / count >= 0.4 else 0.6)
    return None


def place_of_residence(values: Sequence[str]) -> Match | None:
    """Postal addresses: a street's word and a number, or in English a number and then words."""
    if len(values) < SOME:
        return None
    streets = leading = 0
    for value in values:
        if not any(map(str.isdigit, value)) or len(value) > 200:
            continue
        low = [_flat(part.strip(".,")) for part in re.split(r"[\s,]+", value) if part]
        letters = [part for part in low if part[:1].isalpha()]
        if not letters or len(letters) > 14:
            continue
        street = any(part in words.STREET or part.endswith(_ENDS) for part in letters)
        streets += street and _NUMBERED.search(value) is not None
        leading += re.match(r"\d{1,5}[A-Za-z]?,? [^\W\d_]{2,}", value) is not None and value[-1:] != "%"
    share = streets / len(values)
    if share >= 0.5:
        return Match("pii.address", "address", share, 0.85)
    if leading / len(values) >= 0.85 and share >= 0.15:
        return Match("pii.address", "address", leading / len(values), 0.7)
    return None


def where(values: Sequence[str]) -> Match | None:
    """Pairs of latitude and longitude."""
    share = share_of(values, _COORDINATES.fullmatch, 0.8)
    return Match("pii.location", "coordinates", share, 0.85) if share >= 0.8 and len(values) >= FEW else None


def prose(values: Sequence[str]) -> Match | None:
    """Free text in which people are named, or can be reached."""
    if len(values) < FEW or sum(len(value.split()) for value in values) / len(values) < 5:
        return None

    def tells(value: str) -> bool:
        return bool(_EMAIL_IN.search(value) or _reached(value) or _names(value))

    share = share_of(values, tells)
    return Match("pii.text", "people in text", share, min(0.9, 0.5 + share)) if share >= 0.05 else None


def _reached(value: str) -> bool:
    return any(9 <= sum(map(str.isdigit, m.group())) <= 15 for m in _PHONE_IN.finditer(value))


def _names(value: str) -> bool:
    if any(_flat(m.group().split()[-1]) in words.GIVEN | words.FAMILY for m in _SALUTED.finditer(value)):
        return True
    tokens = [token.strip(".,;:!?()\"'") for token in value.split()]
    return any(
        _flat(one) in words.GIVEN and _flat(two) in words.FAMILY and one[:1].isupper() and two[:1].isupper()
        for one, two in pairwise(tokens)
    )


def diagnoses(values: Sequence[str]) -> Match | None:
    """Codes of ICD-10, or the words of illnesses."""
    if len(values) < FEW:
        return None
    codes = share_of(values, _ICD.fullmatch, 0.9)
    if codes >= 0.9 and share_of(values, lambda v: "." in v) >= 0.3:
        return Match("special.health", "icd-10", codes, 0.85)
    return _vocabulary(values, "special.health", "illnesses", words.HEALTH, 0.5)


def blood(values: Sequence[str]) -> Match | None:
    """Blood groups."""
    return _vocabulary(values, "special.health", "blood groups", words.BLOOD, 0.9)


def religion(values: Sequence[str]) -> Match | None:
    """The names of religions."""
    return _vocabulary(values, "special.religion", "religions", words.RELIGIONS, 0.6)


def ethnicity(values: Sequence[str]) -> Match | None:
    """The words of censuses; colours alone are those of things."""
    colours = share_of(values, lambda v: _flat(v) in ("white", "black", "red", "blue", "green", "grey", "gray", "brown"))
    found = _vocabulary(values, "special.ethnicity", "ethnic groups", words.ETHNICITIES, 0.7)
    return None if colours > 0.45 else found


def orientation(values: Sequence[str]) -> Match | None:
    """Sexual orientations."""
    return _vocabulary(values, "special.orientation", "orientations", words.ORIENTATIONS, 0.6)


def party(values: Sequence[str]) -> Match | None:
    """Political parties."""
    return _vocabulary(values, "special.politics", "parties", words.PARTIES, 0.7)


def sex(values: Sequence[str]) -> Match | None:
    """Sexes: two at least, and words for both."""
    low = {_flat(value) for value in values}
    both = {value[0] for value in low if value} >= {"m", "f"} or low >= {"m", "w"} or low >= {"h", "f"}
    if both and 2 <= len(low) <= 6 and low <= words.SEXES:
        return Match("proxy", "sexes", 1.0, 0.8)
    return _vocabulary(values, "proxy", "marital status", words.MARITAL, 0.75)


def postcode(values: Sequence[str]) -> Match | None:
    """British postcodes; those of other countries are numbers like any other."""
    share = share_of(values, lambda v: _UK_POSTCODE.fullmatch(v.strip()), 0.8)
    return Match("proxy", "postcodes", share, 0.8) if share >= 0.8 and len(values) >= SOME else None


def _vocabulary(values: Sequence[str], tag: str, name: str, known: frozenset[str], least: float) -> Match | None:
    """A column of few different values, most of which have a word of a vocabulary in them."""
    if not 2 <= len(values) <= 60:
        return None
    share = share_of(values, lambda v: any(_flat(w.strip("(),;")) in _flatted(known) for w in re.split(r"[\s/]+", v)))
    return Match(tag, name, share, 0.6 + 0.3 * share) if share >= least else None


_flats: dict[frozenset[str], frozenset[str]] = {}


def _flatted(known: frozenset[str]) -> frozenset[str]:
    if known not in _flats:
        _flats[known] = frozenset(map(_flat, known))
    return _flats[known]


def _flat(text: str) -> str:
    """Lower case, without accents."""
    low = text.lower()
    if low.isascii():
        return low
    return unicodedata.normalize("NFKD", low.replace("ß", "ss")).encode("ascii", "ignore").decode()


_ENDS: Final = tuple(_flat(each.strip(".")) for each in words.STREET_ENDS)
_DETECTORS: Final[list[Callable[[Sequence[str]], Match | None]]] = [
    email, address_of_machine, account, card, national_id, phone, birth_date, person, place_of_residence, where, prose,
    diagnoses, blood, religion, ethnicity, orientation, party, sex, postcode,
]  # fmt: skip
_OF_NUMBERS: Final = [account, card, national_id, phone]

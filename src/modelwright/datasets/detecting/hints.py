"""What the name of a column says: words in English, German, French, Spanish, Italian, Dutch, Portuguese and Polish."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from modelwright.datasets.detecting import words

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPLIT: Final = re.compile(r"[^a-z0-9]+")

# A hint is one or several words that all stand in the name; the first of the list that does is the one.
_HINTS: Final[list[tuple[str, str]]] = [
    ("pii.email", "email|e mail|mail|mailadresse|courriel|correo|emailaddress|posta elettronica"),
    ("pii.ip", "ip|ipv4|ipv6|ipaddress|ipaddr|ip address|client ip|remote addr"),
    ("pii.iban", "iban|bank account|account number|kontonummer|bankverbindung|rekeningnummer|conto corrente"),
    ("pii.card", "credit card|card number|cardnumber|cc number|ccnum|pan number|kreditkarte|carte bancaire|tarjeta"),
    (
        "pii.national_id",
        "ssn|social security|nino|national id|nationalid|national insurance|passport|passport number|tax id|taxid|"
        "steuer id|steuerid|sozialversicherungsnummer|svnr|ausweisnummer|nir|numero securite|dni|nif|nie|codice fiscale|"
        "codicefiscale|bsn|pesel|personnummer|cpf|ahv|driver license|drivers license|driving licence|fuhrerschein",
    ),
    (
        "pii.birth_date",
        "birth date|birthdate|date birth|dob|birthday|birth day|born|geburtsdatum|geburtstag|geboren|naissance|"
        "nacimiento|nascita|geboortedatum|nascimento|urodzenia",
    ),
    ("pii.phone", "phone|telephone|tel|mobile|cell|cellphone|fax|telefon|telefonnummer|handy|mobil|telefono|portable|"
        "movil|cellulare|telefoon|telefone|msisdn"),
    (
        "pii.name",
        "first name|firstname|last name|lastname|full name|fullname|given name|family name|surname|middle name|maiden name|"
        "forename|fname|lname|person name|customer name|client name|patient name|employee name|contact name|holder name|"
        "cardholder|cardholder name|passenger name|driver name|vorname|nachname|familienname|prenom|nom famille|nombre|"
        "apellido|apellidos|cognome|nome|voornaam|achternaam|sobrenome|imie|nazwisko",
    ),
    (
        "pii.address",
        "street|street address|home address|postal address|mailing address|address|addr|address line|adresse|strasse|"
        "anschrift|rue|direccion|calle|indirizzo|adres|straat|endereco|ulica|hausnummer",
    ),
    ("pii.location",
        "latitude|longitude|lat|lon|lng|long|gps|geo point|geopoint|coordinates|coords|breitengrad|langengrad"),
    ("special.health", "diagnosis|diagnose|disease|illness|icd|icd10|medical condition|medication|prescription|disability|"
        "allergy|blood type|blood group|blutgruppe|krankheit|maladie|enfermedad|health status|hiv|pregnant|symptom"),
    ("special.religion", "religion|religious|faith|denomination|konfession|religionszugehorigkeit|church"),
    ("special.ethnicity", "race|ethnicity|ethnic|ethnic group|ethnie|hautfarbe|etnia|origine ethnique"),
    ("special.politics", "political party|party affiliation|political|partei|voting intention"),
    ("special.orientation", "sexual orientation|orientation sexuelle|sexuelle orientierung"),
    ("special.union", "union member|union membership|trade union|gewerkschaft|syndicat|sindicato"),
    ("special.biometric", "fingerprint|faceprint|face embedding|iris scan|voiceprint|biometric"),
    ("special.genetic", "genotype|genome|dna|snp"),
    (
        "proxy",
        "sex|gender|geschlecht|sexe|sexo|sesso|geslacht|age|alter|zip|zipcode|zip code|postcode|post code|postal code|plz|"
        "postleitzahl|code postal|codigo postal|cap|nationality|citizenship|nationalitat|nationalite|nacionalidad|"
        "native country|country birth|birth country|birthplace|place birth|geburtsort|marital status|maritalstatus|"
        "marital|familienstand|civil status|neighborhood|neighbourhood|mother tongue|muttersprache",
    ),
    ("pii.text", "notes|note|comment|comments|remarks|remark|free text|freetext|message|body|transcript|bemerkung|"
        "kommentar|anmerkung|commentaire|comentario|observaciones|note interne"),
]  # fmt: skip
_WORDS: Final = [(tag, [tuple(hint.split()) for hint in text.split("|")]) for tag, text in _HINTS]
_NUMBERED: Final = frozenset({"number", "num", "n"})


def words_of(column: str) -> list[str]:
    """The words of a column's name: `customerEMail_2` is customer, e, mail, 2."""
    flat = unicodedata.normalize("NFKD", _CAMEL.sub(" ", column)).encode("ascii", "ignore").decode().lower()
    return [word for word in _SPLIT.split(flat) if word]


def hinted(column: str) -> list[str]:
    """The classes that the name of a column speaks of: at most one of `pii`, of `special` and of `proxy`."""
    said = words_of(column)
    found: dict[str, str] = {}
    for tag, hints in _WORDS:
        family = tag.partition(".")[0]
        if family in found:
            continue
        for hint in hints:
            if _stand(hint, said):
                beside = set(said) - set(hint)
                numbered = tag in ("pii.phone", "pii.card", "pii.iban", "pii.national_id")
                if not beside & (words.ABOUT - _NUMBERED if numbered else words.ABOUT):
                    found[family] = tag
                break
    return list(found.values())


def _stand(hint: tuple[str, ...], words: list[str]) -> bool:
    """Whether the words of a hint stand in a name, in their order."""
    left = iter(words)
    return all(word in left for word in hint)

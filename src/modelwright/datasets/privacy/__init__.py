"""Privacy at the door: what columns are about, who reads them in clear, for which purpose, and pseudonyms."""

from modelwright.datasets.privacy.keys import Pseudonymizer, PurposeKeys
from modelwright.datasets.privacy.purposes import refusal
from modelwright.datasets.privacy.records import DEFAULT_PURPOSE, Permit, PrivacySettings, Pseudonyms, Revealed
from modelwright.datasets.privacy.service import Privacy, mask_values

__all__ = [
    "DEFAULT_PURPOSE",
    "Permit",
    "Privacy",
    "PrivacySettings",
    "Pseudonymizer",
    "Pseudonyms",
    "PurposeKeys",
    "Revealed",
    "mask_values",
    "refusal",
]

"""Pages of data and features with more columns and views than anybody reads: the first are shown, all can be had."""

from __future__ import annotations

import html
import re

import httpx
import pyarrow as pa
import pytest

from modelwright.datasets import DatasetVersion
from modelwright.features import FeatureView
from modelwright.testing import serving
from modelwright.workspace import Workspace

COLUMNS = 130
WORDS = ["القاهرة", "دبي"]


@pytest.fixture
def wide(embedded: Workspace) -> DatasetVersion:
    values = {f"c{number:03}": [number, number + 1] for number in range(COLUMNS)}
    embedded.datasets.add("wide", pa.table({"id": [1, 2], "مدينة": WORDS, **values}), key="id")
    again = {"id": [1, 2], "مدينة": [WORDS[1]] * 2, **values}
    version = embedded.datasets.add("wide", pa.table(again))
    names = [f"c{number:03}" for number in range(COLUMNS)]
    embedded.features.apply(FeatureView(name="huge", entity="id", source="dataset:wide", features=names))
    for number in range(27):
        embedded.features.apply(FeatureView(name=f"v{number:02}", entity="id", source="dataset:wide", features=["c000"]))
    return version


def told(name: str, page: str) -> bool:
    """Whether a page tells of a column; `c098` may be a part of a digest as well."""
    return re.search(rf"\b{name}\b", page) is not None


def test_pages_show_the_first_of_many_and_lead_to_all(embedded: Workspace, wide: DatasetVersion) -> None:
    with serving(embedded) as url, httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:

        def page(path: str) -> str:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text[-300:]
            return html.unescape(answer.text)

        first, whole = page("/datasets/wide@2"), page("/datasets/wide@2?columns=all")
        assert told("c097", first) and not told("c098", first) and f"All {COLUMNS + 2} columns" in first
        assert told("c129", whole) and "columns</a>" not in whole
        first, whole = page("/features/huge@1"), page("/features/huge@1?columns=all")
        assert told("c099", first) and not told("c100", first.partition("Evidence")[0].partition("Used by")[0])
        assert told("c129", whole)
        views = page("/features")
        assert views.count('class="strong"') == 25 and "There are more" in views
        named = page("/features?q=huge")
        assert told("c011", named) and not told("c012", named) and f"and {COLUMNS - 12} more" in named


def test_words_of_another_direction_keep_their_place_beside_numbers(embedded: Workspace, wide: DatasetVersion) -> None:
    with serving(embedded) as url:
        page = httpx.get(f"{url}/datasets/wide@2?against=1", headers={"accept": "text/html"}).text
    assert f"<bdi>{WORDS[0]}</bdi> → <bdi>{WORDS[1]}</bdi>" in page
    assert f"\u2068{WORDS[0]}\u2069 50" in page or f"\u2068{WORDS[1]}\u2069 50" in page

"""Nouns in the singular and plural."""

from __future__ import annotations

import pytest

from mobile_eval.messages import number_of


@pytest.mark.parametrize(
    ("count", "plural", "words"),
    [
        (0, "people", "0 people"),
        (1, "people", "1 person"),
        (1, "persons", "1 person"),
        (1, "boxes", "1 box"),
        (1, "faces", "1 face"),
        (2, "links", "2 links"),
        (1200, "images", "1,200 images"),
    ],
)
def test_plural_follows_the_number(count: int, plural: str, words: str) -> None:
    assert number_of(count, plural) == words

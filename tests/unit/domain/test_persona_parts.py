"""A persona in parts: one text, and each part of it can be altered alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.persona_parts import Parts, compose, parts_of

WORDS = st.text(alphabet="ab #\n", max_size=30).map(str.strip)
THREE = Parts("Who.", "How.\n\nAnd how not.", "- First.\n- Then.")


def test_the_parts_come_out_as_they_went_in() -> None:
    text = compose(THREE)
    assert text.startswith("# Identity\n\nWho.\n\n# Soul\n\nHow.")
    assert parts_of(text) == THREE


@pytest.mark.parametrize("text", ["", "You help.", "You help.\n\nA lot.", "# Something else\n\nx"])
def test_a_text_without_headings_is_all_identity(text: str) -> None:
    assert parts_of(text) == Parts(identity=text)


def test_one_part_is_altered_alone() -> None:
    altered = compose(parts_of(compose(THREE))._replace(soul="Brief."))
    assert parts_of(altered) == THREE._replace(soul="Brief.")
    assert compose(parts_of("You help.")._replace(soul="Brief.")) == (
        "# Identity\n\nYou help.\n\n# Soul\n\nBrief."
    )


def test_a_heading_counts_once_and_in_its_order() -> None:
    text = "# Soul\n\nx\n\n# Identity\n\n# Soul\n\ny"
    assert parts_of(text) == Parts(soul="x\n\n# Identity\n\n# Soul\n\ny")


@given(st.builds(Parts, WORDS, WORDS, WORDS))
def test_any_parts_come_out_as_they_went_in(parts: Parts) -> None:
    assert parts_of(compose(parts)) == parts


@given(st.text(max_size=200))
def test_nothing_of_a_text_is_lost(text: str) -> None:
    heads = {"#", "Identity", "Soul", "Instructions"}
    kept = [word for word in " ".join(parts_of(text)).split() if word not in heads]
    assert [word for word in text.split() if word not in heads] == kept

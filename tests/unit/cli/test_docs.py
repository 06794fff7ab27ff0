from __future__ import annotations

import pytest

from ironclaw.config.settings import SECTIONS
from ironclaw.core.codes import CODES
from ironclaw.testing import docs, docs_settings


@pytest.mark.parametrize("name", docs.PAGES)
def test_a_generated_page_says_what_the_code_says(name: str) -> None:
    """Make it again with `python -m ironclaw.testing.docs --write`."""
    assert (docs.DOCS / name).read_text(encoding="utf-8") == docs.PAGES[name]()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_explained(section: str) -> None:
    struct = SECTIONS[section]

    assert set(docs_settings.field_docs(struct)) == set(struct.__struct_fields__)


def test_exit_codes_are_unique_and_in_their_ranges() -> None:
    exits = [row.exit_code for row in CODES.values()]

    assert len(set(exits)) == len(exits)
    assert all(code == 1 or 3 <= code < 80 for code in exits)


def test_the_glossary_is_sorted_and_names_no_word_twice() -> None:
    words = [word for word, _meaning in docs.WORDS]

    assert words == sorted(set(words))

"""Why an attempt at a provider came to nothing: for the box, people, operators and retries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw_contract.codes import WireCode

if TYPE_CHECKING:
    from ironclaw.models.provider import Asks

TEMPORARY = frozenset({WireCode.MODEL_UNAVAILABLE, WireCode.BUSY})
"""Codes of failures that may be gone when it is tried again."""


class ModelTrouble(Exception):  # noqa: N818 - says what it is, to people too
    """A provider's failure, with what may be said of it to whom.

    Args:
        code: What the box is told; `TEMPORARY` ones are tried again.
        word: A sentence or two for people: which provider, and what to do. The host's own words.
        detail: For operators, in the log only; redacted by whoever raises it.
        retry_after_s: Seconds that the provider wants to be left alone.
        is_sick: The provider as a whole has failed, not only this request: counts for the breaker.
        had_pictures: The model was shown pictures.
    """

    def __init__(
        self,
        code: WireCode,
        word: str,
        *,
        detail: str = "",
        retry_after_s: float | None = None,
        is_sick: bool = False,
        had_pictures: bool = False,
    ) -> None:
        super().__init__(word)
        self.code = code
        self.word = word
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.is_sick = is_sick
        self.had_pictures = had_pictures
        self.instead: Asks | None = None
        """How it may be asked once more, which is another call; None: not otherwise."""

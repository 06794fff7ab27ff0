"""A rehearsal goes the whole way: a step left out would be cold, and nobody would notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.airlock import rehearsal as of_airlock
from ironclaw_agent import rehearsal as of_box

if TYPE_CHECKING:
    from types import ModuleType

    import pytest


def steps(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """Which of these were called, in order, by one rehearsal."""
    taken: list[str] = []
    for name in names:
        real = getattr(module, name)

        def step(*words: object, _name: str = name, _real: object = real) -> object:
            taken.append(_name)
            return _real(*words)  # type: ignore[operator]

        monkeypatch.setattr(module, name, step)
    module.rehearse()
    return taken


def test_a_box_reads_a_message_hears_an_answer_and_seals_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("decode_claim", "read_inbound", "decode_tell", "seal_segment")
    assert steps(of_box, monkeypatch, *names) == [
        "decode_claim",
        "seal_segment",
        "read_inbound",
        "decode_tell",
        "seal_segment",
    ]


def test_an_airlock_publishes_passes_a_question_on_and_verifies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("decode_to_airlock", "seal_all", "decode_ask", "read_outbound")
    assert steps(of_airlock, monkeypatch, *names) == [
        "decode_to_airlock",
        "decode_to_airlock",
        "seal_all",
        "decode_ask",
        "seal_all",
        "read_outbound",
    ]

"""Attacks through a real box: one that is gone ends them at once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from ironclaw.core.errors import PeerError
from ironclaw.prove.wire import attacks
from ironclaw.prove.wire.cells import Cell


class _Row:
    """An attack that nothing comes of."""

    def __init__(self) -> None:
        self.tries = 0

    async def outcome(self, *_: object) -> str:
        self.tries += 1
        raise TimeoutError


def _cell() -> Cell:
    nothing = cast("Any", None)
    return Cell(airlocks=nothing, directory=nothing, box=nothing, link=nothing, patience_s=1)


async def _tried(row: _Row, cell: Cell, monkeypatch: pytest.MonkeyPatch) -> str:
    async def renew(_: Cell) -> None:
        return None

    monkeypatch.setattr(Cell, "renew", renew)
    return await attacks._tried(cast("Any", row), cast("Any", None), cell, None)


async def test_an_attack_is_tried_twice_while_the_box_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row, cell = _Row(), _cell()
    cell.end = asyncio.get_running_loop().create_future()
    assert (await _tried(row, cell, monkeypatch)).startswith("error:")
    assert row.tries == 2


async def test_a_box_that_has_ended_ends_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    row, cell = _Row(), _cell()
    cell.end = asyncio.get_running_loop().create_future()
    cell.end.set_result("exit")
    with pytest.raises(PeerError, match="has ended"):
        await _tried(row, cell, monkeypatch)
    assert row.tries == 0

"""What a keeper that is gone left is cleared, and nothing above it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ironclaw.sandbox import cgroups
from ironclaw.sandbox.cgroups import Cgroups
from ironclaw.sandbox.leftovers import clear

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_groups_of_boxes_with_a_state_file_or_a_bundle_are_ended_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(cgroups, "detect", lambda: Cgroups(0, frozenset(), tmp_path))
    monkeypatch.setattr(cgroups, "end", lambda _groups, path: ended.append(path))
    (tmp_path / "bundles" / "slt_b").mkdir(parents=True)
    (tmp_path / "runsc").mkdir()
    states: list[object] = [{"id": f"ironclaw-{slot}"} for slot in ("slt_a", "", ".", "..", "a/b")]
    for number, state in enumerate([*states, {}, [], None]):
        (tmp_path / "runsc" / f"{number}.state").write_text(json.dumps(state))
    (tmp_path / "runsc" / "torn.state").write_text('{"id": "ironcl')

    clear(tmp_path)

    boxes = ["/ironclaw/slt_a", "/ironclaw/slt_b"]
    assert sorted(ended) == sorted([*boxes, *(f"{box}.airlock" for box in boxes)])
    assert list(tmp_path.iterdir()) == []

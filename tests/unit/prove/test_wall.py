"""Every attack on the wall has a check that judges it, and every check an attack."""

from __future__ import annotations

from ironclaw.prove.probe import files, network, privilege, process
from ironclaw.prove.stages.wall import WALL


def test_the_attacks_are_those_that_are_judged() -> None:
    attacks = files.ATTEMPTS | network.ATTEMPTS | privilege.ATTEMPTS | process.ATTEMPTS

    assert set(attacks) == {check.name for check in WALL.checks}

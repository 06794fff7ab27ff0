"""What a proof is made of: checks, twins, stages, findings. Pure.

A **check** is one attack and the outcomes that mean that it was stopped. A **stage** carries out a
set of attacks and says what came of each, as a short word. A **twin** is the same stage against a
box, an airlock or a host with named controls taken away: there the check must not hold, or it
proves nothing.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw.prove.lab.opened import Lab

ERROR: Final = "error: "
"""How an outcome begins that says the attack could not be carried out. Never expected."""
MAX_OUTCOME_CHARS: Final = 200


class Group(enum.StrEnum):
    """What a check is about; the first word of its name."""

    SPEC = "spec"
    POSTURE = "posture"
    IMAGE = "image"
    NETWORK = "network"
    FILES = "files"
    PROCESS = "process"
    PRIVILEGE = "privilege"
    QUEUE = "queue"
    SOCKETS = "sockets"
    SECRETS = "secrets"
    RESOURCES = "resources"
    SELF = "self"
    STOP = "stop"
    AIRLOCK = "airlock"


class Need(enum.StrEnum):
    """What a host must offer for a control to exist; a check without it is listed, not run."""

    CGROUPS = "cgroups"
    OWN_IDS = "own_ids"
    """Ids enough to give each agent, and each airlock, its own."""


class Check(NamedTuple):
    """One attack, and what stops it."""

    name: str
    """`group.words_with_underscores`."""
    claim: str
    """What holds, in one sentence a stranger understands."""
    attack: str
    """What is done to break it."""
    control: str
    """What stops it: one of the controls that its twin takes away."""
    expected: frozenset[str]
    """Outcomes that mean that it was stopped."""
    twin: str = ""
    """Name of the twin in which it must not hold."""
    why_no_twin: str = ""
    """Set instead of `twin`: why there cannot be one."""
    needs: Need | None = None
    is_slow: bool = False
    """Left out of a quick proof."""

    @property
    def group(self) -> Group:
        """What it is about."""
        return Group(self.name.partition(".")[0])

    def holds(self, outcome: str | None) -> bool:
        """Whether the attack was stopped as claimed."""
        return outcome is not None and outcome in self.expected


class Twin(NamedTuple):
    """A weakened copy of what production launches."""

    name: str
    removes: tuple[str, ...]
    """The controls that are taken away; several where one is behind the other."""


class Stage(Protocol):
    """Carries out the attacks of some checks.

    `twins` are what it can weaken; `observe` gets one of them, or None for production as it is.
    """

    @property
    def name(self) -> str:
        """A word; `--only` takes it."""
        ...

    @property
    def checks(self) -> Sequence[Check]:
        """What it can observe."""
        ...

    @property
    def twins(self) -> Sequence[Twin]:
        """What it can weaken."""
        ...

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Attack; return an outcome by check name, for at least `checks`.

        Raises:
            IronClawError, OSError: Nothing could be attacked; every check of the stage has failed.
        """
        ...


class Measured(str):
    """An outcome with the numbers behind it, for the report."""

    __slots__ = ("numbers",)
    numbers: Mapping[str, float]

    def __new__(cls, outcome: str, **numbers: float) -> Self:
        """Put numbers, by a name with its unit, beside an outcome."""
        made = super().__new__(cls, outcome)
        made.numbers = numbers
        return made


class Finding(NamedTuple):
    """What came of one check."""

    check: Check
    outcome: str
    passed: bool
    ms: int
    """How long its stage took."""
    measured: Mapping[str, float] = {}
    """Numbers behind the outcome, by a name with its unit."""


class TwinFinding(NamedTuple):
    """What came of one check against its twin."""

    check: Check
    twin: Twin
    outcome: str
    caught: bool
    """The attack was carried out and the check did not hold: it can fail."""


def found(check: Check, outcome: str | None, *, ms: int = 0) -> Finding:
    """Judge one outcome."""
    said = ERROR + "nothing was observed" if outcome is None else outcome
    numbers = outcome.numbers if isinstance(outcome, Measured) else {}
    return Finding(check, said[:MAX_OUTCOME_CHARS], check.holds(outcome), ms, numbers)


def judged(check: Check, twin: Twin, outcome: str | None) -> TwinFinding:
    """Judge one outcome of a twin: an attack that could not be carried out catches nothing."""
    said = ERROR + "nothing was observed" if outcome is None else outcome
    caught = not said.startswith(ERROR) and not check.holds(outcome)
    return TwinFinding(check, twin, said[:MAX_OUTCOME_CHARS], caught)


def by_group(findings: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """Count by group: `{"network": {"checks": 14, "passed": 14}}`, in the order of `Group`."""
    counts = {
        group: [finding for finding in findings if finding.check.group is group] for group in Group
    }
    return {
        str(group): {"checks": len(some), "passed": sum(one.passed for one in some)}
        for group, some in counts.items()
        if some
    }

"""What a proof is made of: checks, twins, stages, findings. Pure.

A **check** is one attack and the outcomes that mean that it was stopped. A **stage** carries out a
set of attacks and says what came of each, as a short word. A **twin** is the same stage against a
box, an airlock or a host with named controls taken away: there the check must not hold, or it
proves nothing.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from ironclaw.core.errors import IronClawError
from ironclaw.prove.probe.attempt import DONE
from ironclaw.prove.probe.named import error_name, is_error_name

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
    """What answers first in production: one of the controls that its twin takes away."""
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
    """The controls that are taken away; several where one is behind the other, in that order."""

    def behind(self, control: str) -> tuple[str, ...]:
        """What else it takes away: the layers that would answer if `control` did not."""
        return tuple(one for one in self.removes if one != control)


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


class Effect(enum.StrEnum):
    """What an attack met in a twin."""

    THROUGH = "through"
    """Nothing: it went through, or what the control keeps apart was seen to differ."""
    DEEPER = "deeper layer"
    """Not the control, which is gone, but an error of something behind it."""
    STOPPED = "stopped"
    """The same as in production: the check proves nothing."""
    UNTRIED = "untried"
    """It could not be carried out."""


class TwinFinding(NamedTuple):
    """What came of one check against its twin."""

    check: Check
    twin: Twin
    outcome: str
    effect: Effect

    @property
    def caught(self) -> bool:
        """The attack was carried out and the check did not hold: it can fail."""
        return self.effect in {Effect.THROUGH, Effect.DEEPER}


def found(check: Check, outcome: str | None, *, ms: int = 0) -> Finding:
    """Judge one outcome."""
    said = ERROR + "nothing was observed" if outcome is None else outcome
    numbers = outcome.numbers if isinstance(outcome, Measured) else {}
    return Finding(check, said[:MAX_OUTCOME_CHARS], check.holds(outcome), ms, numbers)


def judged(check: Check, twin: Twin, outcome: str | None) -> TwinFinding:
    """Judge one outcome of a twin: an attack that could not be carried out catches nothing."""
    said = ERROR + "nothing was observed" if outcome is None else outcome
    return TwinFinding(check, twin, said[:MAX_OUTCOME_CHARS], _effect(check, said))


def _effect(check: Check, said: str) -> Effect:
    if said.startswith(ERROR):
        return Effect.UNTRIED
    if check.holds(said):
        return Effect.STOPPED
    # What is meant to work and fails has lost its control: nothing else kept it from anything.
    if is_error_name(said) and not check.holds(DONE):
        return Effect.DEEPER
    return Effect.THROUGH


def could_not(error: Exception) -> str:
    """The outcome of an attack that could not be carried out, in words that are no class's name."""
    if isinstance(error, IronClawError):
        more = f" ({error.detail.strip().splitlines()[-1]})" if error.detail.strip() else ""
        return f"{ERROR}{error.code}: {error.message}{more}"
    if isinstance(error, OSError):
        return f"{ERROR}{error_name(error).removeprefix(ERROR)}: {error}"
    return f"{ERROR}it ended with {error}"


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

"""Makes docs/security/claims.md from the checks of the proof, so that it cannot promise more.

`python -m ironclaw.testing.docs --write` writes it; a test compares.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.prove.model import Group
from ironclaw.prove.stages import STAGES

if TYPE_CHECKING:
    from ironclaw.prove.model import Check, Stage, Twin


class About(NamedTuple):
    """What the attacks of a group have in common."""

    harm: str
    """What they aim at, in the words of attack-model.md."""
    text: str


ABOUT: Final = {
    Group.SPEC: About(
        "Escape",
        "What is asked of gVisor. Each field is weakened; the launch must be refused by its name.",
    ),
    Group.POSTURE: About(
        "Escape",
        "What runs, compared with what was asked for. Each fact is made to differ in its twin.",
    ),
    Group.IMAGE: About(
        "InternalEsc", "What lies in a box for an attacker to use: as good as nothing."
    ),
    Group.NETWORK: About(
        "Exfil, Lateral",
        "Ways out. Where an address or a socket is tried, something listens on it.",
    ),
    Group.FILES: About(
        "HostLeak, Lateral",
        "What can be read, written, filled up, run, or reached through links and devices.",
    ),
    Group.PROCESS: About(
        "Escape",
        "The kernel's interface. Each call has arguments that a willing kernel would take.",
    ),
    Group.PRIVILEGE: About("InternalEsc", "Becoming somebody else, or gaining a right."),
    Group.QUEUE: About(
        "Escape, HostLeak", "Hostile segments and directories, read by real airlocks."
    ),
    Group.SOCKETS: About(
        "Escape, PeerDoS", "Hostile frames and connections on the two sockets of a box."
    ),
    Group.SECRETS: About("HostLeak", "Looking for what nobody in a box may know."),
    Group.RESOURCES: About(
        "HostDoS, PeerDoS", "Taking more than one's share of the machine, or of the slot."
    ),
    Group.SELF: About("InternalEsc", "An agent that changes its own code, setup or grants."),
    Group.STOP: About("SelfDoS, PeerDoS", "A box that does not want to end."),
    Group.AIRLOCK: About(
        "Escape",
        "The second line: hostile code in an airlock's own place, with all that an airlock has.",
    ),
}


ABOUT_STAGES: Final = {
    "spec": "The builder of the spec is asked for weaker specs; no box is started.",
    "image": "The image's tree is searched for what an attacker could use.",
    "posture": "The proof of each launch is proven: each of its facts is made to differ.",
    "ground": "The host's own directories and mounts of a slot, as they are made for a box.",
    "refusals": "Production is given launches that are not what was asked for.",
    "wall": "A hostile program in `/sandbox`'s place, in one box: every attack in turn.",
    "queue": "Hostile segments, read by a real airlock.",
    "sockets": "Hostile frames and connections, answered by a real airlock.",
    "airlock": "Hostile code in an airlock's place.",
    "greed": "A whole house: a box takes all that it can get while a sibling works.",
    "stopping": "A whole house: boxes that do not want to end.",
    "secrecy": "A whole house: what a session learns of others, and a program beside the agent.",
}
"""What each stage does, by the name that `--only` takes."""


def claims() -> str:
    """What docs/security/claims.md says below its title."""
    checks = [check for stage in STAGES for check in stage.checks]
    twins = {check.name: _twin_of(check) for check in checks if check.twin}
    intro = f"""\
        {len(checks)} checks, {len(twins)} of them with a twin: the same attack on a copy that goes
        without the named controls, where the check must fail. `ironclaw prove --only NAME` runs
        one check, one group (a heading below) or one stage, with `--twins` its twin.

        *Control* is what answers first in production, and after *then* what stands behind it.

        *Harm* is what the attacks of a group aim at, in the words of
        [the attack model](attack-model.md). *Needs* is what a host must offer for the control to
        exist: `cgroups` that can be written, `own_ids` enough for each agent and each airlock. A
        check whose need is not met is listed as not enforced, never as passed. *Slow* checks are
        left out of `--quick`.
        """
    parts = [textwrap.dedent(intro), _stages()]
    for group in Group:
        mine = [check for check in checks if check.group is group]
        if mine:
            about = ABOUT[group]
            rows = "\n".join(_row(check, twins.get(check.name)) for check in mine)
            parts.append(
                f"\n## {group}\n\nHarm: {about.harm}. {about.text}\n\n"
                "| check | claim | attack | control | its twin goes without | needs |\n"
                f"|---|---|---|---|---|---|\n{rows}\n"
            )
    return "".join(parts)


def _stages() -> str:
    rows = "\n".join(
        f"| `{stage.name}` | {ABOUT_STAGES[stage.name]} | {len(stage.checks)} | "
        f"{', '.join(f'`{group}`' for group in Group if group in _groups(stage))} |"
        for stage in STAGES
    )
    return (
        "\n## Stages\n\nA stage is what is set up once and attacked in one go; a group is what\n"
        "checks are about. In this order:\n\n"
        f"| stage | what is done | checks | in groups |\n|---|---|---|---|\n{rows}\n"
    )


def _groups(stage: Stage) -> set[Group]:
    return {check.group for check in stage.checks}


def _row(check: Check, twin: Twin | None) -> str:
    without = f"none: {check.why_no_twin}" if twin is None else ", ".join(twin.removes)
    needs = [str(check.needs)] if check.needs else []
    needs += ["slow"] if check.is_slow else []
    behind = twin.behind(check.control) if twin else ()
    control = "; then: ".join(filter(None, (check.control, ", ".join(behind))))
    cells = (f"`{check.name}`", check.claim, check.attack, control, without, ", ".join(needs))
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _twin_of(check: Check) -> Twin:
    return next(
        twin
        for stage in STAGES
        if check in stage.checks
        for twin in stage.twins
        if twin.name == check.twin
    )

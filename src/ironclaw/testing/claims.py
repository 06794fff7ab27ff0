"""Makes docs/security/claims.md from the checks of the proof, so that it cannot promise more.

`python -m ironclaw.testing.docs --write` writes it; a test compares.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.prove.model import Group
from ironclaw.prove.stages import STAGES

if TYPE_CHECKING:
    from ironclaw.prove.model import Check, Twin


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


def claims() -> str:
    """What docs/security/claims.md says below its title."""
    checks = [check for stage in STAGES for check in stage.checks]
    twins = {check.name: _twin_of(check) for check in checks if check.twin}
    intro = f"""\
        {len(checks)} checks, {len(twins)} of them with a twin: the same attack on a copy that goes
        without the named controls, where the check must fail. `ironclaw prove --only NAME` runs
        one check or one group, with `--twins` its twin.

        *Harm* is what the attacks of a group aim at, in the words of
        [the attack model](attack-model.md). *Needs* is what a host must offer for the control to
        exist: `cgroups` that can be written, `own_ids` enough for each agent and each airlock. A
        check whose need is not met is listed as not enforced, never as passed. *Slow* checks are
        left out of `--quick`.
        """
    parts = [textwrap.dedent(intro)]
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

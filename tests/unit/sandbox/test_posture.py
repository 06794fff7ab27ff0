"""Every posture check fails when its one fact is wrong, and only then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.sandbox.sealed_spec import IDS, strong

from ironclaw.core.errors import PeerError
from ironclaw.sandbox.cgroups import Cgroups
from ironclaw.sandbox.outside import OutsideFacts, ProcessFacts
from ironclaw.sandbox.posture import (
    CHECKS,
    FLAGS,
    GOFER_CAPABILITIES,
    Evidence,
    compare,
    enforced,
    not_enforced,
    verdicts,
)
from ironclaw.testing.sealed_facts import SEALED

BASE = frozenset({IDS.base})
SENTRY = ProcessFacts(
    uids=frozenset({65534}),
    gids=frozenset({65534}),
    capabilities=0,
    seccomp=2,
    no_new_privs=True,
    namespaces={"user": True, "net": True, "mnt": True, "ipc": True, "uts": True, "pid": False},
    mounts={"/": frozenset({"ro", "relatime"})},
)
GOFER = SENTRY._replace(
    uids=BASE,
    gids=BASE,
    capabilities=GOFER_CAPABILITIES,
    namespaces=SENTRY.namespaces | {"pid": True},
    mounts={
        "/": frozenset({"ro", "nosuid", "nodev"}),
        **{m.destination: frozenset(m.options) for m in strong().mounts if m.type == "bind"},
    },
)
OUTSIDE = OutsideFacts(
    sentry=SENTRY,
    gofer=GOFER,
    members=frozenset({10, 11, 12}),
    limits={"memory": str(256 * 1024 * 1024), "cpu": "100000", "pids": "256"},
    host_kernel="Linux version 6.1.0 (someone) #1 SMP",
    flags=FLAGS | {"--platform=ptrace"},
)
GOOD = Evidence(strong(), OUTSIDE, SEALED, 10, 11, Cgroups(1, frozenset({"memory", "cpu", "pids"})))
ANY = frozenset({"rw"})


def sentry(**changes: Any) -> Evidence:
    return GOOD._replace(outside=OUTSIDE._replace(sentry=SENTRY._replace(**changes)))


def gofer(**changes: Any) -> Evidence:
    return GOOD._replace(outside=OUTSIDE._replace(gofer=GOFER._replace(**changes)))


def outside(**changes: Any) -> Evidence:
    return GOOD._replace(outside=OUTSIDE._replace(**changes))


def inside(**changes: Any) -> Evidence:
    return GOOD._replace(inside=msgspec.structs.replace(SEALED, **changes))


WRONG: list[tuple[str, Evidence]] = [
    ("outside.sentry.uid", sentry(uids=frozenset({0}))),
    ("outside.sentry.uid", sentry(uids=frozenset({0, 65534}))),
    ("outside.sentry.uid", sentry(gids=frozenset({0}))),
    ("outside.sentry.capabilities", sentry(capabilities=1)),
    ("outside.sentry.seccomp", sentry(seccomp=0)),
    ("outside.sentry.seccomp", sentry(no_new_privs=False)),
    *(
        ("outside.sentry.namespaces", sentry(namespaces=SENTRY.namespaces | {name: False}))
        for name in ("user", "net", "mnt", "ipc", "uts")
    ),
    ("outside.sentry.mounts", sentry(mounts=SENTRY.mounts | {"/host": ANY})),
    ("outside.sentry.mounts", sentry(mounts={"/": ANY})),
    ("outside.sentry.mounts", sentry(mounts={})),
    *(("outside.sentry.flags", outside(flags=FLAGS - {flag})) for flag in sorted(FLAGS)),
    ("outside.gofer.ids", gofer(uids=frozenset({0}))),
    ("outside.gofer.ids", gofer(gids=BASE | {0})),
    ("outside.gofer.capabilities", gofer(capabilities=GOFER_CAPABILITIES | 1 << 21)),
    ("outside.gofer.seccomp", gofer(seccomp=0)),
    ("outside.gofer.namespaces", gofer(namespaces=GOFER.namespaces | {"pid": False})),
    ("outside.gofer.mounts", gofer(mounts=GOFER.mounts | {"/etc": frozenset({"ro"})})),
    ("outside.gofer.mounts", gofer(mounts=GOFER.mounts | {"/": ANY})),
    *(
        ("outside.gofer.mounts", gofer(mounts=GOFER.mounts | {path: options}))
        for path, options in (
            ("/queue/in", frozenset({"rw", "nosuid", "nodev", "noexec"})),
            ("/run/ironclaw", frozenset({"rw", "nosuid", "nodev", "noexec"})),
            ("/queue/out", frozenset({"rw", "nosuid", "nodev"})),
            ("/workspace", frozenset({"rw", "nodev", "noexec"})),
        )
    ),
    (
        "outside.gofer.mounts",
        gofer(mounts={path: each for path, each in GOFER.mounts.items() if path != "/shared"}),
    ),
    ("outside.cgroup.members", outside(members=frozenset({10}))),
    ("outside.cgroup.members", outside(members=frozenset())),
    ("outside.cgroup.limits", outside(limits={})),
    ("outside.cgroup.limits", outside(limits=OUTSIDE.limits | {"memory": "max"})),
    ("outside.cgroup.limits", outside(limits=OUTSIDE.limits | {"cpu": "-1"})),
    ("inside.uid", inside(uid=0)),
    ("inside.gid", inside(gid=0)),
    ("inside.groups", inside(groups=(0,))),
    ("inside.capabilities", inside(cap_eff=1)),
    ("inside.capabilities", inside(cap_bnd=1)),
    ("inside.no_new_privs", inside(no_new_privs=False)),
    ("inside.seccomp", inside(seccomp=0)),
    ("inside.interfaces", inside(interfaces=("lo", "eth0"))),
    ("inside.routes", inside(routes=1)),
    ("inside.root", inside(root_writable=True)),
    ("inside.queue_in", inside(in_writable=True)),
    ("inside.kernel", inside(kernel="Linux version 6.1.0 (someone) #1 SMP")),
    ("inside.processes", inside(processes=2)),
    ("inside.environment", inside(environment=("PATH", "TOKEN"))),
]


def test_a_sealed_box_passes_and_its_facts_are_told() -> None:
    facts = compare(GOOD)

    assert facts["uid"] == "65534"
    assert facts["cap_eff"] == "0x0"
    assert facts["cgroup_memory"] == str(256 * 1024 * 1024)


@pytest.mark.parametrize(("name", "evidence"), WRONG)
def test_one_wrong_fact_fails_one_check(name: str, evidence: Evidence) -> None:
    with pytest.raises(PeerError) as caught:
        compare(evidence)

    assert caught.value.message.endswith(f": {name}.")


def test_every_check_can_fail() -> None:
    assert {name for name, _ in CHECKS} == {name for name, _ in WRONG}


def test_where_there_are_no_cgroups_their_checks_are_not_said_to_have_held() -> None:
    bare = outside(members=frozenset(), limits={})._replace(groups=Cgroups(0, frozenset()))

    compare(bare)
    absent = {"outside.cgroup.limits", "outside.cgroup.members"}
    assert set(not_enforced(bare)) == absent
    assert set(enforced(bare)) == {name for name, _ in CHECKS} - absent
    assert not any(verdicts(bare)[name] for name in absent)


def test_where_there_are_cgroups_everything_is_enforced() -> None:
    assert not_enforced(GOOD) == ()
    assert enforced(GOOD) == dict.fromkeys((name for name, _ in CHECKS), True)


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(PeerError, match=r"inside\.uid, inside\.seccomp"):
        compare(inside(uid=0, seccomp=0))

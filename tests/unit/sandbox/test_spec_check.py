"""A spec with any one field weakened is refused, and the field is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sandbox.sealed_spec import BIRDS, DOCS, EXPECTED, strong

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError
from ironclaw.domain.model import BoxLimits
from ironclaw.sandbox.seccomp import Rule
from ironclaw.sandbox.spec import Capabilities, IdMap, Mount, Namespace, Rlimit, Spec
from ironclaw.sandbox.spec_check import RULES, check_spec

if TYPE_CHECKING:
    from collections.abc import Callable

_set = msgspec.structs.replace


def process(**changes: Any) -> Callable[[Spec], Spec]:
    return lambda spec: _set(spec, process=_set(spec.process, **changes))


def user(**changes: Any) -> Callable[[Spec], Spec]:
    return lambda spec: process(user=_set(spec.process.user, **changes))(spec)


def linux(**changes: Any) -> Callable[[Spec], Spec]:
    return lambda spec: _set(spec, linux=_set(spec.linux, **changes))


def resource(name: str, **changes: Any) -> Callable[[Spec], Spec]:
    def change(spec: Spec) -> Spec:
        resources = spec.linux.resources
        part = _set(getattr(resources, name), **changes)
        return linux(resources=_set(resources, **{name: part}))(spec)

    return change


def seccomp(**changes: Any) -> Callable[[Spec], Spec]:
    return lambda spec: linux(seccomp=_set(spec.linux.seccomp, **changes))(spec)


def rlimit(name: str, soft: int, hard: int) -> Callable[[Spec], Spec]:
    return lambda spec: process(
        rlimits=tuple(
            Rlimit(name, hard, soft) if limit.type == name else limit
            for limit in spec.process.rlimits
        )
    )(spec)


def without_rlimit(name: str) -> Callable[[Spec], Spec]:
    return lambda spec: process(
        rlimits=tuple(limit for limit in spec.process.rlimits if limit.type != name)
    )(spec)


def mount(place: str, /, **changes: Any) -> Callable[[Spec], Spec]:
    return lambda spec: _set(
        spec,
        mounts=tuple(
            _set(each, **changes) if each.destination == place else each for each in spec.mounts
        ),
    )


def option(destination: str, old: str, new: str = "") -> Callable[[Spec], Spec]:
    def change(spec: Spec) -> Spec:
        found = next(each for each in spec.mounts if each.destination == destination)
        options = tuple(word for word in found.options if word != old)
        return mount(destination, options=(*options, new) if new else options)(spec)

    return change


def more_mounts(*extra: Mount) -> Callable[[Spec], Spec]:
    return lambda spec: _set(spec, mounts=(*spec.mounts, *extra))


BINDS = ("/queue/in", "/queue/out", "/run/ironclaw", "/workspace", "/memory", "/shared")
WEAKER: list[tuple[str, Any]] = [
    ("root.readonly", lambda s: _set(s, root=_set(s.root, readonly=False))),
    ("root.path", lambda s: _set(s, root=_set(s.root, path="rootfs"))),
    ("root.path", lambda s: _set(s, root=_set(s.root, path="/a/../b"))),
    ("process.args", process(args=("/bin/sh",))),
    ("process.args", process(args=("/sandbox", "--debug"))),
    ("process.env", process(env=())),
    ("process.env", lambda s: process(env=(*s.process.env, "LD_PRELOAD=/x"))(s)),
    ("process.cwd", process(cwd="/")),
    ("process.terminal", process(terminal=True)),
    ("process.noNewPrivileges", process(no_new_privileges=False)),
    ("process.oomScoreAdj", process(oom_score_adj=-1000)),
    ("process.oomScoreAdj", process(oom_score_adj=0)),
    ("process.user.uid", user(uid=0)),
    ("process.user.uid", user(uid=1000)),
    ("process.user.gid", user(gid=0)),
    ("process.user.umask", user(umask=0o022)),
    ("process.user.additionalGids", user(additional_gids=(0,))),
    *(
        ("process.capabilities", process(capabilities=Capabilities(**{name: ("CAP_NET_RAW",)})))
        for name in ("bounding", "effective", "inheritable", "permitted", "ambient")
    ),
    *(
        ("process.rlimits", change)
        for name in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC")
        for change in (
            without_rlimit(name),
            rlimit(name, 2**63, 2**63),
            rlimit(name, 32, 64),
        )
    ),
    ("hostname", lambda s: _set(s, hostname="the-host")),
    *(
        (
            "linux.namespaces",
            linux(namespaces=tuple(Namespace(each) for each in kinds if each != name)),
        )
        for kinds in [("pid", "ipc", "uts", "mount", "network", "user")]
        for name in kinds
    ),
    (
        "linux.namespaces",
        lambda s: linux(
            namespaces=tuple(
                _set(each, path="/proc/1/ns/net") if each.type == "network" else each
                for each in s.linux.namespaces
            )
        )(s),
    ),
    ("linux.namespaces", lambda s: linux(namespaces=(*s.linux.namespaces, Namespace("pid")))(s)),
    *(
        (field, linux(**{attribute: value}))
        for field, attribute in (
            ("linux.uidMappings", "uid_mappings"),
            ("linux.gidMappings", "gid_mappings"),
        )
        for value in (
            (),
            (IdMap(0, 0, 65536),),
            (IdMap(0, 500_000_000, 1),),
            (IdMap(1, 500_000_000, 65536),),
            (IdMap(0, 500_000_000, 65533), IdMap(65533, 0, 1)),
        )
    ),
    ("linux.resources.memory", resource("memory", limit=0)),
    ("linux.resources.memory", resource("memory", limit=-1)),
    ("linux.resources.memory", resource("memory", limit=2**60)),
    ("linux.resources.cpu", resource("cpu", quota=-1)),
    ("linux.resources.cpu", resource("cpu", quota=0)),
    ("linux.resources.cpu", resource("cpu", period=1)),
    ("linux.resources.pids", resource("pids", limit=-1)),
    ("linux.resources.pids", resource("pids", limit=0)),
    ("linux.resources.pids", resource("pids", limit=2**30)),
    *(
        ("linux.cgroupsPath", linux(cgroups_path=path))
        for path in ("", "/", "/ironclaw", "ironclaw/x", "/ironclaw/../x", "/ironclaw/x\n", "/a//b")
    ),
    ("linux.seccomp", seccomp(default_action="SCMP_ACT_ALLOW")),
    ("linux.seccomp", seccomp(syscalls=())),
    ("linux.seccomp", seccomp(architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_X32"))),
    (
        "linux.seccomp",
        lambda s: seccomp(
            syscalls=(*s.linux.seccomp.syscalls, Rule(("ptrace",), "SCMP_ACT_ALLOW"))
        )(s),
    ),
    (
        "linux.seccomp",
        lambda s: seccomp(syscalls=tuple(_set(rule, args=()) for rule in s.linux.seccomp.syscalls))(
            s
        ),
    ),
    ("linux.maskedPaths", linux(masked_paths=())),
    ("linux.readonlyPaths", linux(readonly_paths=("/proc/sys",))),
    *(
        ("mounts", change)
        for path in BINDS
        for change in (
            option(path, "nosuid"),
            option(path, "nodev"),
            option(path, "noexec"),
            option(path, "rprivate", "rshared"),
            mount(path, source="/"),
            mount(path, source="/etc"),
            mount(path, source="relative/path"),
            mount(path, source="/view/../etc/x"),
            mount(path, type="tmpfs"),
            mount(path, destination="/etc"),
        )
    ),
    *(("mounts", option(path, "ro", "rw")) for path in ("/queue/in", "/run/ironclaw", "/shared")),
    ("mounts", mount("/workspace", source="/view/bound/m/a")),
    ("mounts", option("/tmp", "size=67108864")),
    ("mounts", option("/tmp", "noexec")),
    ("mounts", option("/proc", "nosuid")),
    ("mounts", mount("/proc", type="bind", source="/proc")),
    ("mounts", more_mounts(Mount("/host", "bind", "/srv/x", ("rbind", "ro")))),
    ("mounts", more_mounts(Mount("/queue/in", "bind", "/srv/x", ("rbind", "ro")))),
    ("mounts", lambda s: _set(s, mounts=s.mounts[1:])),
]


def test_the_spec_that_is_built_is_strong() -> None:
    check_spec(strong(), EXPECTED)


@pytest.mark.parametrize(("field", "change"), WEAKER)
def test_each_weaker_spec_is_refused_and_the_field_named(field: str, change: Any) -> None:
    with pytest.raises(PolicyError) as caught:
        check_spec(change(strong()), EXPECTED)

    assert caught.value.code is Code.SPEC_TOO_WEAK
    assert field in caught.value.message
    assert caught.value.hint


SHARED = "/shared/docs"
WEAKER_SHARED: list[Any] = [
    option(SHARED, "ro", "rw"),
    option(SHARED, "nosuid"),
    option(SHARED, "noexec"),
    option(SHARED, "rprivate", "rshared"),
    mount(SHARED, type="tmpfs"),
    *(
        mount(SHARED, destination=place)
        for place in ("/docs", "/workspace/docs", "/shared/", "/shared/..", "/shared/a/b")
    ),
    *(mount(SHARED, destination=f"/shared/{name}") for name in ("Docs", "-a", "a\n", ".a")),
    mount(SHARED, source="/view/bound/m/a"),
    mount(SHARED, source="/view/bound/other"),
    *(mount(SHARED, source=f"/view/bound/{name}") for name in ("keys", "lib", "all", "up")),
    lambda s: _set(s, mounts=(s.mounts[-1], *s.mounts[:-1])),
]


def test_a_shared_directory_of_the_host_is_accepted() -> None:
    spec = strong(mounts=(DOCS,))
    check_spec(spec, EXPECTED)
    assert spec.mounts[-1].destination == SHARED


@pytest.mark.parametrize("change", WEAKER_SHARED)
def test_a_shared_directory_is_read_only_in_its_place_and_foreign(change: Any) -> None:
    with pytest.raises(PolicyError, match="mounts"):
        check_spec(change(strong(mounts=(DOCS,))), EXPECTED)


@pytest.mark.parametrize("lost", [{"shown": ()}, {"own": ()}])
def test_what_is_not_known_of_a_shared_directory_is_refused(lost: Any) -> None:
    with pytest.raises(PolicyError, match="mounts"):
        check_spec(strong(mounts=(DOCS,)), EXPECTED._replace(**lost))


SKILL = "/shared/skills/birds"
WEAKER_SKILL: list[Any] = [
    option(SKILL, "ro", "rw"),
    option(SKILL, "nosuid"),
    option(SKILL, "nodev"),
    option(SKILL, "noexec"),
    mount(SKILL, type="tmpfs"),
    *(
        mount(SKILL, destination=f"/shared/skills/{name}")
        for name in ("", "Birds", "-a", "a--b", "a/b", "..", "a\n", "b" * 130)
    ),
    mount(SKILL, destination="/skills/birds"),
    *(
        mount(SKILL, source=f"/view/bound/{name}")
        for name in ("docs", "keys", "lib", "whole", "deeper", "beside", "m/a", "nothing")
    ),
    lambda s: _set(s, mounts=(s.mounts[-1], *s.mounts[:-1])),
    mount("/shared/docs", destination="/shared/skills"),
]


def test_a_skill_of_the_house_is_accepted() -> None:
    spec = strong(mounts=(DOCS, BIRDS))
    check_spec(spec, EXPECTED)
    assert spec.mounts[-1].destination == SKILL


@pytest.mark.parametrize("change", WEAKER_SKILL)
def test_a_skill_is_read_only_in_its_place_and_of_the_house(change: Any) -> None:
    with pytest.raises(PolicyError, match="mounts"):
        check_spec(change(strong(mounts=(DOCS, BIRDS))), EXPECTED)


@pytest.mark.parametrize("lost", [{"shown": ()}, {"skills": ""}, {"skills": "/var/lib/other"}])
def test_what_is_not_known_of_a_skill_is_refused(lost: Any) -> None:
    with pytest.raises(PolicyError, match="mounts"):
        check_spec(strong(mounts=(BIRDS,)), EXPECTED._replace(**lost))


def test_every_rule_has_a_spec_that_breaks_it() -> None:
    assert {field for field, _ in RULES} == {field for field, _ in WEAKER}


@given(
    st.builds(
        BoxLimits,
        memory_bytes=st.integers(-(2**63), 2**63 - 1),
        cpu_millis=st.integers(-(10**6), 10**6),
        pids=st.integers(-10, 10_000),
        files=st.integers(-10, 10_000),
        file_bytes=st.integers(-(2**63), 2**63 - 1),
    )
)
def test_no_limit_can_be_zero_or_endless(limits: BoxLimits) -> None:
    """Whatever is accepted is a real limit on each resource."""
    spec = strong(limits=limits)
    try:
        check_spec(spec, EXPECTED)
    except PolicyError:
        return
    assert 0 < spec.linux.resources.memory.limit <= 2**36
    assert 0 < spec.linux.resources.cpu.quota <= 64 * spec.linux.resources.cpu.period
    assert 0 < spec.linux.resources.pids.limit < 5000
    assert all(0 <= limit.soft == limit.hard < 2**35 for limit in spec.process.rlimits)


@given(
    st.sampled_from(BINDS),
    st.lists(
        st.sampled_from(
            [
                "rbind",
                "rprivate",
                "nosuid",
                "nodev",
                "noexec",
                "ro",
                "rw",
                "exec",
                "suid",
                "dev",
                "rshared",
            ]
        ),
        max_size=8,
    ),
)
def test_mount_options_are_exactly_those_of_the_table(path: str, options: list[str]) -> None:
    wanted = next(set(each.options) for each in strong().mounts if each.destination == path)
    spec = mount(path, options=tuple(options))(strong())
    if set(options) == wanted:
        check_spec(spec, EXPECTED)
    else:
        with pytest.raises(PolicyError, match="mounts"):
            check_spec(spec, EXPECTED)

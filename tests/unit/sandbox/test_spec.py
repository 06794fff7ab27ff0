"""The spec as runsc reads it, and the digest of what slots share."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sandbox.sealed_spec import launch_spec, strong

from ironclaw.sandbox.seccomp import FILES, MEMORY, profile
from ironclaw.sandbox.spec import encode_spec, spec_digest

IMAGE = "sha256:" + "1" * 64


def test_it_is_written_with_the_names_of_the_oci_specification() -> None:
    spec = json.loads(encode_spec(strong()))

    assert spec["ociVersion"] == "1.0.2"
    assert spec["root"] == {"path": "/view/rootfs", "readonly": True}
    assert spec["process"]["noNewPrivileges"] is True
    assert spec["process"]["user"]["additionalGids"] == []
    assert spec["process"]["rlimits"][0] == {"type": "RLIMIT_CORE", "hard": 0, "soft": 0}
    assert spec["linux"]["uidMappings"] == [
        {"containerID": 0, "hostID": 500_000_000, "size": 65536}
    ]
    assert spec["linux"]["namespaces"][0] == {"type": "pid"}
    assert spec["linux"]["cgroupsPath"] == "/ironclaw/slt_a"
    assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert spec["linux"]["seccomp"]["syscalls"][1]["args"] == [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}
    ]
    assert "annotations" not in spec
    assert "hooks" not in spec


def test_the_box_gets_read_only_copies_of_what_it_may_not_write() -> None:
    sources = {mount.destination: mount.source for mount in strong().mounts}

    assert sources["/queue/in"] == "/view/slots/slt_a/box/in"
    assert sources["/run/ironclaw"] == "/view/slots/slt_a/box/run"
    assert sources["/queue/out"] == "/view/slots/slt_a/out"


def test_slots_of_one_agent_have_one_digest() -> None:
    one, two = (spec_digest(strong(s), image_digest=IMAGE, flags=()) for s in ("slt_a", "slt_b"))

    assert one == two
    assert one.startswith("sha256:")


def test_another_image_or_other_flags_give_another_digest() -> None:
    digests = {
        spec_digest(strong(), image_digest=image, flags=flags)
        for image in (IMAGE, "sha256:" + "2" * 64)
        for flags in ((), ("--network=none",))
    }

    assert len(digests) == 4


@given(st.sampled_from(["memory_bytes", "cpu_millis", "pids", "files", "file_bytes"]))
def test_any_other_limit_gives_another_digest(name: str) -> None:
    limits = launch_spec().limits
    other = type(limits)(**{name: getattr(limits, name) * 2})

    one = spec_digest(strong(), image_digest=IMAGE, flags=())
    assert spec_digest(strong(limits=other), image_digest=IMAGE, flags=()) != one


def test_no_call_that_starts_programs_or_changes_identity_is_allowed() -> None:
    allowed = {
        name
        for rule in profile("x86_64").syscalls
        if rule.action == "SCMP_ACT_ALLOW" and not rule.args
        for name in rule.names
    }

    assert not allowed & {
        *("execve", "execveat", "fork", "vfork", "clone", "clone3", "ptrace", "mount", "umount2"),
        *("unshare", "setns", "setuid", "setgid", "chroot", "pivot_root", "bpf", "keyctl", "kill"),
        *("io_uring_setup", "userfaultfd", "perf_event_open", "process_vm_readv", "memfd_create"),
        *("socket", "bind", "listen", "mknod", "mknodat", "chown", "personality", "init_module"),
    }
    assert set(MEMORY) | set(FILES) <= allowed


def test_arm_has_no_names_that_only_x86_knows() -> None:
    names = {name for rule in profile("aarch64").syscalls for name in rule.names}

    assert not names & {"open", "stat", "arch_prctl", "select"}
    assert {"openat", "pselect6", "read"} <= names

"""What a program in a real box cannot do, and that the proof of a launch would notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.sandbox.runsc import PLATFORMS

if TYPE_CHECKING:
    from conftest import Driven

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(300)]

_NO_WRITE = frozenset({"EACCES", "EROFS", "EPERM"})
_NEVER = frozenset({"EPERM"})
REFUSED = {
    **dict.fromkeys(("write_root", "write_in", "write_run", "write_shared"), _NO_WRITE),
    "kcore": frozenset({"ENOENT", "EACCES"}),
    "sysctl": _NO_WRITE,
    **dict.fromkeys(
        (
            *("mount", "umount", "unshare_user", "unshare_net", "ptrace", "chroot", "setuid"),
            *("setgroups", "mknod", "chown", "fork", "execve", "exec_workspace", "sethostname"),
            *("inet", "inet6", "netlink", "packet"),
            *("signal_init", "keyctl", "bpf", "io_uring", "userfaultfd"),
        ),
        _NEVER,
    ),
    "open_files": frozenset({"EMFILE"}),
}
TWINS = (
    "inside.seccomp",
    "inside.queue_in",
    "inside.capabilities",
    "inside.uid",
    "inside.environment",
    "outside.sentry.capabilities",
    "outside.gofer.mounts",
)


@pytest.fixture
def report(driven: Driven) -> dict[str, Any]:
    found: dict[str, Any] = driven.value("report")
    return found


@pytest.mark.parametrize("attempt", REFUSED)
def test_a_box_is_refused(report: dict[str, Any], attempt: str) -> None:
    assert report["attempts"][attempt] in REFUSED[attempt]


@pytest.mark.parametrize("place", ["out", "workspace", "memory", "tmp"])
def test_a_box_can_write_where_it_is_meant_to(report: dict[str, Any], place: str) -> None:
    assert report["attempts"][f"write_{place}"] == "done"


def test_sizes_are_capped(report: dict[str, Any]) -> None:
    attempts = report["attempts"]
    assert attempts["big_file"][:2] == ["EFBIG", 0]
    assert attempts["out_bytes"][:2] == ["ENOSPC", 32 * 1024 * 1024]
    assert attempts["out_inodes"][0] == "ENOSPC"
    assert attempts["out_inodes"][2] < 512
    assert attempts["tmp_bytes"][:2] == ["ENOSPC", 64 * 1024 * 1024]


def test_a_box_knows_nothing_of_the_host(report: dict[str, Any]) -> None:
    """No host path, host name or program shows in what it sees."""
    sees = report["sees"]
    assert sees["hostname"] == "sandbox"
    assert "ironclaw-" not in sees["mounts"]
    assert "slots" not in sees["mounts"]
    assert report["facts"]["processes"] == 1
    assert report["facts"]["interfaces"] == ["lo"]


def test_two_sessions_of_one_agent_do_not_see_each_other(report: dict[str, Any]) -> None:
    """The second sees its own empty queue and workspace; memory is the agent's, so it is shared."""
    assert report["sees"]["in"] == ["0000000000000001.seg"]
    assert report["other"]["in"] == []
    assert report["other"]["workspace"] == []
    assert report["other"]["memory"] == ["x"]
    assert report["same_digest"] is True


def test_another_agent_sees_nothing_of_either(report: dict[str, Any]) -> None:
    assert report["foreign"]["in"] == []
    assert report["foreign"]["workspace"] == []
    assert report["foreign"]["memory"] == []


def test_the_receipt_says_what_sealed_it(report: dict[str, Any]) -> None:
    receipt = report["receipt"]
    assert receipt["runtime"] == "runsc"
    assert receipt["platform"] == PLATFORMS[0]
    assert receipt["network"] == "none"
    assert receipt["uid"] == 65532
    assert receipt["outside"]["cap_eff"] == "0x0"
    assert receipt["outside"]["netns"] == "own"
    assert "/queue/in ro" in receipt["outside"]["gofer_mounts"]


def test_memory_limit_is_what_the_box_sees_where_cgroups_hold_it(report: dict[str, Any]) -> None:
    if report["cgroups"]:
        assert report["sees"]["memory_total_kb"] == 256 * 1024
    else:
        assert report["receipt"]["weaker"] != []


@pytest.mark.parametrize("control", TWINS)
def test_a_box_with_that_control_removed_is_not_proven(driven: Driven, control: str) -> None:
    assert control in driven.value("twins")[control]


def test_a_box_with_more_memory_than_asked_is_not_proven(driven: Driven) -> None:
    said = driven.value("twins")["outside.cgroup.limits"]
    enforced = driven.value("report")["cgroups"] > 0
    assert ("outside.cgroup.limits" in said) == enforced

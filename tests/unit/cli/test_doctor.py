"""The checks against machines that lack something; `tests/sealed` has the real box."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironclaw.cli import doctor, render
from ironclaw.cli.doctor import host, wall
from ironclaw.cli.doctor.check import Finding, Machine, Mark, fail, ok
from ironclaw.config.providers import ProviderSettings
from ironclaw.config.settings import (
    ApiSettings,
    ModelSettings,
    PathSettings,
    SandboxSettings,
    Settings,
)
from ironclaw.sandbox.cgroups import Cgroups

FACTS: dict[str, Any] = {
    "seccomp": "2",
    "cap_eff": "0000000000000000",
    "uid": ["65532"],
    "interfaces": ["lo"],
    "kernel": wall.SANDBOX_KERNEL,
    "root_writable": False,
    "processes": 1,
    "took_ms": 300,
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    paths = PathSettings(
        state_dir=tmp_path / "state", runtime_dir=tmp_path / "run", image_dir=tmp_path / "state"
    )
    settings = Settings(paths=paths, api=ApiSettings(port=0))
    return Machine(settings, os.geteuid(), {"view": "/mnt", "facts": dict(FACTS)})


def test_a_provider_without_its_key_is_named(machine: Machine) -> None:
    assert host.models(machine).mark is Mark.OK
    there = ModelSettings(providers={"far": ProviderSettings(kind="openai", key="env:NO_SUCH_KEY")})
    settings = msgspec.structs.replace(machine.settings, models=there)

    found = host.models(machine._replace(settings=settings))

    assert found.mark is Mark.WARN
    assert "far" in found.text
    assert "NO_SUCH_KEY" in found.text


def without(machine: Machine, **changes: Any) -> Machine:
    return machine._replace(probe={"view": "/mnt", "facts": FACTS | changes})


def fails(finding: Finding) -> bool:
    assert finding.fix, "a failed check says how to mend it"
    assert doctor.exit_code(finding) > 2
    return finding.mark is Mark.FAIL


def test_a_whole_machine_passes(machine: Machine) -> None:
    for check in (wall.box, wall.seccomp, wall.sealed, host.user_namespaces, host.directories):
        assert check(machine).mark is Mark.OK


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        (wall.box, {"kernel": "Linux version 6.1.0"}),
        (wall.seccomp, {"seccomp": "0"}),
        (wall.sealed, {"interfaces": ["lo", "eth0"]}),
        (wall.sealed, {"cap_eff": "00000000a80425fb"}),
        (wall.sealed, {"root_writable": True}),
        (wall.sealed, {"processes": 40}),
        (wall.sealed, {"uid": ["0"]}),
    ],
)
def test_a_weakened_box_fails_its_check(
    machine: Machine, check: Any, changes: dict[str, Any]
) -> None:
    assert fails(check(without(machine, **changes)))


def test_a_box_that_does_not_come_up_fails_with_its_reason(machine: Machine) -> None:
    error = {"code": "runtime_failed", "message": "It hung.", "hint": "Try.", "detail": "x"}
    broken = machine._replace(probe={"view": "/mnt", "error": error})

    assert fails(wall.box(broken))
    assert fails(wall.seccomp(broken))
    assert fails(wall.sealed(broken))
    assert host.user_namespaces(broken).mark is Mark.OK
    assert fails(host.user_namespaces(machine._replace(probe={"error": error})))


def test_a_missing_and_an_old_runsc_are_named(machine: Machine, tmp_path: Path) -> None:
    old = tmp_path / "runsc"
    old.write_text("#!/bin/sh\necho 'runsc version 0.0~20221219.0'\n")
    old.chmod(0o755)
    for program, code in (("/nonexistent", "runtime_missing"), (str(old), "runtime_too_old")):
        settings = msgspec.structs.replace(machine.settings, sandbox=SandboxSettings(runsc=program))
        finding = wall.runsc_version(machine._replace(settings=settings))
        assert fails(finding)
        assert finding.code == code


def test_a_directory_of_somebody_else_fails(machine: Machine) -> None:
    machine.settings.state_dir.mkdir()

    assert fails(host.directories(machine._replace(uid=4321)))


def test_open_directories_and_keys_are_found(machine: Machine) -> None:
    state = machine.settings.state_dir
    (state / "keys").mkdir(parents=True)
    state.chmod(0o755)
    assert host.directories(machine).mark is Mark.WARN
    assert host.keys(machine).mark is Mark.OK
    (state / "keys" / "master.key").write_bytes(b"x" * 32)
    (state / "keys" / "master.key").chmod(0o644)

    assert fails(host.keys(machine))


def test_a_taken_port_fails_and_names_the_setting(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        api = ApiSettings(port=taken.getsockname()[1])
        settings = msgspec.structs.replace(machine.settings, api=api)
        finding = host.daemon(machine._replace(settings=settings))

    assert fails(finding)
    assert "api.port" in finding.fix


def test_without_an_image_the_next_step_is_named(machine: Machine) -> None:
    machine.settings.state_dir.mkdir()

    finding = host.image(machine)

    assert finding.mark is Mark.WARN
    assert "image build" in finding.fix


def test_a_check_that_cannot_be_tried_has_failed(machine: Machine) -> None:
    def broken(_machine: Machine) -> Finding:
        raise PermissionError("no")

    assert fails(doctor.examine(broken, machine))


@pytest.mark.parametrize("check", [host.disk, host.memory, host.clock])
def test_this_machine_has_room_and_a_clock(machine: Machine, check: Any) -> None:
    assert check(machine).mark is not Mark.FAIL


def test_what_was_found_is_broken_between_words_and_its_fix_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render, "columns", lambda: 50)
    fix = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann"

    doctor.show(Finding("limits", Mark.WARN, "Boxes are weaker: nothing limits their memory.", fix))

    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "warn  limits       Boxes are weaker: nothing",
        "  limits their memory.",
        f"      fix: {fix}",
    ]


def test_a_fix_is_said_once_and_then_named() -> None:
    """Ids that are missing stop the nest and the box too: three lines with one fix are no help."""
    ids = fail("ids", "None.", fix="usermod")
    nest = fail("nest", "None.", fix="usermod")
    runsc = fail("runsc", "Old.", fix="apt-get")

    assert doctor.once(ids, [runsc]) == ids
    assert doctor.once(nest, [runsc, ids]).fix == "Mend `ids` first."
    assert doctor.once(runsc, [ids]) == runsc
    assert doctor.once(ok("disk", "room"), [ok("ids", "there")]).fix == ""


def test_what_a_user_without_cgroups_is_told_to_do_is_whole(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ironclaw.sandbox.cgroups.detect", lambda: Cgroups(0, frozenset()))

    finding = wall.limits(machine._replace(uid=1000))

    assert finding.mark is Mark.WARN
    assert "…" not in finding.fix
    assert "/sys/fs/cgroup" in finding.fix

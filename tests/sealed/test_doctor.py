"""The doctor with a real runsc, as whoever runs the tests, and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.sealed


def examine(*, runsc: str = "runsc") -> tuple[int, dict[str, Any]]:
    place = Path(tempfile.mkdtemp(prefix="icl-"))
    settings = {
        "IRONCLAW_PATHS_STATE_DIR": str(place / "state"),
        "IRONCLAW_PATHS_RUNTIME_DIR": str(place / "run"),
        "IRONCLAW_API_PORT": "0",
        "IRONCLAW_SANDBOX_RUNSC": runsc,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ironclaw.cli.main", "doctor", "--json"],
            env=dict(os.environ) | settings | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert list(place.iterdir()) == [], "looking makes nothing"
    finally:
        shutil.rmtree(place)
    return done.returncode, json.loads(done.stdout)


def marks(told: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["mark"] for check in told["checks"]}


def test_a_tiny_box_shows_that_this_machine_can_seal() -> None:
    status, told = examine()

    found = marks(told)
    assert {found[name] for name in ("runsc", "ids", "nest", "box", "oci-seccomp", "sealed")} == {
        "ok"
    }
    assert (status, told["ok"]) == (0, True)
    assert told["box"]["facts"]["interfaces"] == ["lo"]


def test_without_runsc_the_doctor_says_so_and_still_tries_the_rest() -> None:
    status, told = examine(runsc="/nonexistent/runsc")

    found = marks(told)
    assert status == 60
    assert (found["runsc"], found["box"], found["nest"]) == ("fail", "fail", "ok")
    assert all(check["fix"] for check in told["checks"] if check["mark"] == "fail")


def test_a_program_that_is_not_gvisor_does_not_pass(tmp_path: Path) -> None:
    fake = tmp_path / "runsc"
    fake.write_text("#!/bin/sh\necho 'runsc version 0.0~20991231.0'\n")
    fake.chmod(0o755)

    status, told = examine(runsc=str(fake))

    assert status == 62
    assert marks(told)["box"] == "fail"

"""The probe in place of `/sandbox`: says what it sees of its walls, then attacks on request.

It connects to the bell, sends one JSON line of facts, and answers each request line
`{"names": [...], "context": {...}}` with a line of outcomes by name.
"""

from __future__ import annotations

import json
from typing import Final

from ironclaw.prove.probe import files, network, privilege, process
from ironclaw.prove.probe.attempt import outcome
from ironclaw.prove.probe.seen import dial, facts

ATTEMPTS: Final = files.ATTEMPTS | network.ATTEMPTS | process.ATTEMPTS | privilege.ATTEMPTS


def main() -> None:
    """Serve requests until the host closes the bell."""
    bell = dial("bell.sock")
    stream = bell.makefile("rwb")
    stream.write(json.dumps(facts()).encode() + b"\n")
    stream.flush()
    for line in stream:
        asked = json.loads(line)
        # In the order of the table: what changes the process itself stands last.
        said = {
            name: outcome(attempt, asked["context"])
            for name, attempt in ATTEMPTS.items()
            if name in asked["names"]
        }
        stream.write(json.dumps(said).encode() + b"\n")
        stream.flush()


main()

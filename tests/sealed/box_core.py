"""A core that starts one box, says it is ready, and waits to be stopped; leaves the box running.

python box_core.py STATE RUNTIME ROOTFS
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from probe_rootfs import PROGRAM

from ironclaw.core.ids import AgentId
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.wall import Durable, LaunchSpec, Rootfs
from ironclaw.sandbox.isolator import open_isolator
from ironclaw.testing.isolator_kit import fresh_slot


async def main() -> None:
    state, runtime, rootfs = (Path(word) for word in sys.argv[1:4])
    isolator = await open_isolator(state_dir=state, runtime_dir=runtime, program_for_tests=PROGRAM)
    found = await isolator.survivors()
    if not found:
        spec = LaunchSpec(
            dir=await isolator.prepare(fresh_slot(), lane=0),
            agent=AgentId("agt_core"),
            rootfs=Rootfs("sha256:" + "0" * 64, rootfs),
            workspace=await isolator.durable(Durable.WORKSPACE, "one", lane=0),
            memory=await isolator.durable(Durable.MEMORY, "one", lane=0),
            shared=await isolator.durable(Durable.SHARED, "one", lane=0),
            limits=BoxLimits(),
        )
        await isolator.launch(spec)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    box = (await isolator.survivors())[0]
    gofer = isolator._runsc.states()[0].gofer_pid
    said = {
        "core": os.getpid(),
        "box": [box.pid, gofer],
        "slot": box.slot,
        "adopted": bool(found),
        "view": os.environ["IRONCLAW_VIEW"],
    }
    draft = state / ".core.json"
    draft.write_text(json.dumps(said))
    draft.replace(state / "core.json")
    if "IRONCLAW_READY_FD" in os.environ:
        os.write(int(os.environ["IRONCLAW_READY_FD"]), b"ready\n")
    await stop.wait()


asyncio.run(main())

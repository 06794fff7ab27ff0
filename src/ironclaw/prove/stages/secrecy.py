"""What a session can learn in a whole house, and what a program beside the agent can do to it.

One house with four boxes: a hostile agent with two chats, another hostile agent, and an agent that
runs the real `/sandbox` with a hostile program started beside it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError
from ironclaw.prove import controls as c
from ironclaw.prove.house import twins
from ironclaw.prove.house.private import GREEDY, open_house
from ironclaw.prove.house.twins import MOUNTS
from ironclaw.prove.lab.tree import program
from ironclaw.prove.model import Check, could_not
from ironclaw.sandbox.process import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from ironclaw.prove.house.private import House
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin

SPY: Final = "spy"
AGAIN: Final = "spy-again"
"""The second chat of the same agent."""
OTHER: Final = "other"
REAL: Final = "real"
_BESIDE: Final = program("beside")
_CANARY: Final = "IRONCLAW_PROOF_CANARY"
_TALK: Final = (
    *("hello", "!fail permanent", "!fail temporary", "!fail context", "!recall", "!nonsense"),
    *("!say what do you know", "!tool write_file {}"),
)
_ALONE: Final = ["bell.sock", "model.sock"]
_EXEC_S: Final = 20.0
_EXECS: Final = 6


def _check(
    name: str,
    claim: str,
    attack: str,
    control: str,
    twin: str,
    *expected: str,
    is_slow: bool = True,
) -> Check:
    return Check(name, claim, attack, control, frozenset(expected), twin, is_slow=is_slow)


def _beside(name: str, claim: str, attack: str, twin: str, control: str, *expected: str) -> Check:
    return _check(name, claim, f"beside /sandbox: {attack}", control, twin, *expected)


CHECKS: Final = (
    _check(
        *("secrets.key_file", "The session's key is gone from /run/ironclaw once it was read."),
        *("open and list it again", twins.KEY_REMOVED, "house-key", "gone"),
        is_slow=False,
    ),
    _check(
        *("secrets.key_copies", "No file that a box can see holds its session's key."),
        *("look for it, in three forms, in every file", twins.KEY_REMOVED, "house-key", "none"),
    ),
    _check(
        "secrets.core_in_conversation",
        "Nothing that a box is told in a whole conversation holds a secret of the core, not even "
        "when a provider quotes its key in an error.",
        "look for the core's keys, tokens and environment in every byte received",
        *(twins.WIRE_CODES, "house-leaking", "none"),
    ),
    _check(
        *("secrets.core_in_files", "No file that a box can see holds a secret of the core."),
        *("look for the same in every file", twins.EMPTY_SHARED, "house-careless", "none"),
    ),
    _check(
        *("secrets.other_processes", "A box reads nothing of the core's or another box's process."),
        *("read /proc of both, by their host pids", MOUNTS, "house-processes", "ENOENT"),
    ),
    _check(
        *("files.other_chat", "Two chats of one agent do not see each other's workspace."),
        *("read a letter in the other's workspace", MOUNTS, "house-workspaces", "ENOENT"),
    ),
    _check(
        *("files.other_agent", "Two agents do not see each other's memory."),
        *("read a letter in the other's memory", MOUNTS, "house-memories", "ENOENT"),
    ),
    _check(
        *("queue.other_chat", "Two chats of one agent do not see each other's queue."),
        *("list the other's inbound queue", MOUNTS, "house-slots", "ENOENT"),
    ),
    _check(
        *("sockets.other_chat", "Two chats of one agent do not see each other's sockets."),
        *("connect to the other's model socket", MOUNTS, "house-slots", "ENOENT"),
    ),
    _beside(
        *("process.beside_ptrace", "A program beside the agent cannot trace it."),
        *("ptrace the agent", twins.BESIDE, c.NO_CAPABILITIES, "EPERM"),
    ),
    _beside(
        *("process.beside_memory", "A program beside the agent cannot open its memory."),
        *("open /proc/PID/mem", twins.BESIDE, c.NO_CAPABILITIES, "EACCES", "EPERM"),
    ),
    _beside(
        *("process.beside_readv", "A program beside the agent cannot read its memory."),
        *("process_vm_readv", twins.BESIDE, c.NO_CAPABILITIES, "EPERM"),
    ),
    _beside(
        *("secrets.beside_key", "A program beside the agent gets the key file no second time."),
        *("open it", "house-key", twins.KEY_REMOVED, "ENOENT"),
    ),
    _beside(
        *("sockets.beside_bell", "Nobody but the agent is heard on the bell while it holds it."),
        *("connect and ring", "house-bells", twins.ONE_BELL, "no answer"),
    ),
)


class _Secrecy:
    """Implements `model.Stage`."""

    name = "secrecy"
    checks = CHECKS
    twins = tuple(twin for twin in twins.TWINS if twin.name in {check.twin for check in CHECKS})

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Spy. Raises IronClawError when there is no house."""
        wanted = {check.name for check in checks}
        os.environ[_CANARY] = lab.mark
        weakening = twins.WEAKENINGS[twin.name] if twin else None
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(twins.leaking(lab))
                house = await stack.enter_async_context(open_house(lab, weakening))
                await _people(house)
                return {
                    name: await _tried(house, twin, play)
                    for name, play in _PLAYS.items()
                    if name in wanted
                }
        finally:
            del os.environ[_CANARY]


async def _people(house: House) -> None:
    """Open the house to four sessions, each with a box that runs."""
    spy = await house.agent(SPY, program=GREEDY)
    await house.wire(AGAIN, spy)
    await house.agent(OTHER, program=GREEDY)
    (house.settings.state_dir / "api-token").write_text(_TOKEN, encoding="ascii")


async def _tried(
    house: House, twin: Twin | None, play: Callable[[House, Twin | None], Awaitable[str]]
) -> str:
    try:
        return await play(house, twin)
    except (IronClawError, OSError, TimeoutError, ValueError, LookupError) as error:
        return could_not(error)


async def _key_file(house: House, _twin: Twin | None) -> str:
    # The first order may be there with the key, before the airlock hears that it was read.
    await house.ordered(SPY, "wait", seconds=0)
    said = json.loads(await house.ordered(SPY, "hunt_key"))
    if said["key"] == "ENOENT" and said["run"] == _ALONE:
        return "gone"
    return f"{said['key']}; {', '.join(said['run'])}"


async def _key_copies(house: House, _twin: Twin | None) -> str:
    return _none(json.loads(await house.ordered(SPY, "hunt_key"))["in"])


async def _in_conversation(house: House, _twin: Twin | None) -> str:
    await house.ordered(SPY, "converse", texts=list(_TALK))
    found = json.loads(await house.ordered(SPY, "hunt", parts=_parts(house)))
    return _none([each for each in found if "the host said" in each])


async def _in_files(house: House, _twin: Twin | None) -> str:
    found = json.loads(await house.ordered(SPY, "hunt", parts=_parts(house)))
    return _none([each for each in found if "the host said" not in each])


async def _other_processes(house: House, _twin: Twin | None) -> str:
    await house.ordered(OTHER, "wait", seconds=0)
    pids = (os.getpid(), *house.isolator.processes(house.launched(OTHER).dir.slot))
    # Small pids are taken in the box as well, by its own processes.
    names = [f"{root}/{pid}/comm" for pid in pids for root in ("/proc", "/shared") if pid > _OWN]
    return _first(await house.ordered(SPY, "reach", paths=names))


async def _other_chat(house: House, _twin: Twin | None) -> str:
    await house.ordered(AGAIN, "wait", seconds=0)
    # The newest launch of the agent is the other chat's.
    workspace = house.launched(SPY).workspace
    _leave(house, workspace)
    # Its own box is the newer one from here on.
    await house.stop(SPY)
    name = f"{workspace.name}/letter.txt"
    paths = [f"/workspace/{name}", f"/workspace/../{name}"]
    return _first(await house.ordered(SPY, "reach", paths=paths))


async def _other_agent(house: House, _twin: Twin | None) -> str:
    for chat in (SPY, OTHER):
        await house.ordered(chat, "wait", seconds=0)
    memory = house.launched(OTHER).memory
    _leave(house, memory)
    return _first(await house.ordered(SPY, "reach", paths=[f"/memory/{memory.name}/letter.txt"]))


async def _other_queue(house: House, _twin: Twin | None) -> str:
    return _first(await house.ordered(SPY, "reach", paths=[f"{await _place(house)}/in"]))


async def _other_socket(house: House, _twin: Twin | None) -> str:
    return await house.ordered(SPY, "join", path=f"{await _place(house)}/run/model.sock")


async def _place(house: House) -> str:
    """Where the spy would find the slot of the other chat, were it shown."""
    # The other's box first: a box sees mounts of its nest only as they were when it started.
    for chat in (SPY, AGAIN):
        await house.stop(chat)
    await house.ordered(AGAIN, "wait", seconds=0)
    other = house.launched(SPY).dir.slot
    await house.ordered(SPY, "wait", seconds=0)
    return f"/shared/{other}"


def _play_beside(name: str) -> Callable[[House, Twin | None], Awaitable[str]]:
    async def play(house: House, twin: Twin | None) -> str:
        if not house.has(REAL):
            await house.agent(REAL, program=("/sandbox",))
            await house.answer(await house.send(REAL, "hello"))
        is_root = twin is not None and twin.name == twins.BESIDE
        said = await _said_beside(house, as_root=is_root)
        return msgspec.json.decode(said, type=dict[str, str])[name]

    return play


async def _said_beside(house: House, *, as_root: bool) -> str:
    """What a program says that runs beside an agent; raises HostError when nothing comes of it."""
    status, detail = 0, ""
    for tries in range(_EXECS):
        if tries:
            # Its box may have ended: its session goes on in another one.
            await house.answer(await house.send(REAL, "hello"))
        slot = house.launched(REAL).dir.slot
        argv = house.isolator.exec_argv(slot, _BESIDE, as_root=as_root)
        done = await run(argv, timeout_s=_EXEC_S)
        if done.stdout.strip():
            return done.stdout
        status, detail = done.status, done.stderr
        # Or runsc was too late to pass on what was said; seen several times over.
    raise HostError(
        Code.BOX_BROKEN,
        f"A program in the box said nothing, {_EXECS} times (exit status {status}).",
        hint="Run it again while the machine is less busy.",
        detail=detail,
    )


def _parts(house: House) -> list[list[str]]:
    """The core's secrets, in two halves each: the environment's, the token's, the keys'."""
    words = [house.lab.mark.encode(), _TOKEN.encode()]
    for file in sorted((house.settings.state_dir / "keys").iterdir()):
        raw = file.read_bytes()
        if _LEAST_KEY <= len(raw) <= _MOST_KEY:
            words += [raw, raw.hex().encode(), base64.b64encode(raw)]
    return [[word[: len(word) // 2].hex(), word[len(word) // 2 :].hex()] for word in words]


def _leave(house: House, directory: Path) -> None:
    """Leave a letter in a place of a session's, with the owner that the box's own would have."""
    spec = house.launched(SPY)
    letter = directory / "letter.txt"
    letter.write_text("a letter", encoding="ascii")
    os.chown(letter, spec.dir.box_uid, spec.dir.group)


def _first(said: str) -> str:
    """The one outcome of all, or the first that is another."""
    outcomes = json.loads(said)
    return next((one for one in outcomes.values() if one != "ENOENT"), "ENOENT")


def _none(found: list[str]) -> str:
    return "; ".join(found[:3]) if found else "none"


_TOKEN: Final = "proof-" + secrets.token_hex(16)
_LEAST_KEY: Final = 16
_MOST_KEY: Final = 4096
_OWN: Final = 100
_PLAYS: Final[dict[str, Callable[[House, Twin | None], Awaitable[str]]]] = {
    "secrets.key_file": _key_file,
    "secrets.key_copies": _key_copies,
    "secrets.core_in_conversation": _in_conversation,
    "secrets.core_in_files": _in_files,
    "secrets.other_processes": _other_processes,
    "files.other_chat": _other_chat,
    "files.other_agent": _other_agent,
    "queue.other_chat": _other_queue,
    "sockets.other_chat": _other_socket,
    **{
        name: _play_beside(name.partition("beside_")[2])
        for name in (check.name for check in CHECKS)
        if "beside_" in name
    },
}
SECRECY: Final = _Secrecy()

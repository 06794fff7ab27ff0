"""The wall, as Protocols: the sandbox, its airlock, and what passes between them and the core.

`ironclaw.sandbox` and `ironclaw.airlock` implement it; only `ironclaw.composition` puts them
together.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ironclaw_contract.records import InboundBody, OutboundBody
from ironclaw_contract.rpc import Facts, Hello, ModelAsk, ModelTell, Use

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ironclaw.core.ids import AgentId, SessionId, SlotId
    from ironclaw.domain.disk import Holding
    from ironclaw.domain.model import BoxLimits, SharedMount, Skill
    from ironclaw.domain.statement import Receipt
    from ironclaw_contract.rpc import Used


# --- the sandbox ----------------------------------------------------------------------------------


class SlotDir(NamedTuple):
    """The host side of a slot's mounts. `path` holds `in/`, `out/` and `run/`."""

    slot: SlotId
    path: Path
    box_uid: int
    """Who uid 65532 of the box is on the host."""
    airlock_uid: int
    """The airlock's own host uid (the core's, where it cannot have one)."""
    group: int
    """Host gid of the box's gid 65532: how airlock and box share files."""


class Durable(enum.StrEnum):
    """Directories that outlive a slot."""

    WORKSPACE = "workspace"
    MEMORY = "memory"
    SHARED = "shared"


class Rootfs(NamedTuple):
    """A provisioned image."""

    digest: str
    """`sha256:…` of the manifest."""
    path: Path


class LaunchSpec(NamedTuple):
    """All that a blank box is started from; nothing is read from ambient settings."""

    dir: SlotDir
    agent: AgentId
    rootfs: Rootfs
    workspace: Path
    memory: Path
    shared: Path
    limits: BoxLimits
    mounts: tuple[SharedMount, ...] = ()
    """Directories of the host, shown read-only below `/shared`."""
    skills: tuple[Skill, ...] = ()
    """Shown read-only below `/shared/skills`, each after it was verified again."""


class Box(NamedTuple):
    """A running sandbox."""

    slot: SlotId
    pid: int
    """The sentry's host pid."""
    started: int
    """Its start time in clock ticks (/proc/pid/stat, field 22): pid and this name one process."""
    spec_digest: str
    """Digest of the parts of the spec that do not differ between slots of one agent."""
    gofer: int = 0
    """The gofer's host pid: it holds what the box has open by name alone; 0 when not known."""


class SkillShelf(Protocol):
    """Where the skills are that were imported. Blocks: not for the event loop."""

    def verified(self, digest: str) -> Path:
        """The directory of one, after every byte of it was compared with the digest again.

        Raises:
            HostError: `HOST_UNSUITED`: it is not what was approved, or not trusted any more.
        """
        ...


class Isolator(Protocol):
    """Makes and ends sandboxes. The conformance kit is `ironclaw.testing.isolator_kit`."""

    async def prepare(self, slot: SlotId, *, lane: int) -> SlotDir:
        """Make the slot's directories. Raises HostError.

        Args:
            slot: A fresh id.
            lane: The agent's id range (`Agent.lane`).
        """
        ...

    async def durable(self, kind: Durable, name: str, *, lane: int) -> Path:
        """The directory of that kind and name, made with the right owner if it is not there."""
        ...

    async def remove_empty(self, kind: Durable, name: str) -> None:
        """Remove that directory if nothing is in it. Never looks into it, never raises."""
        ...

    async def launch(self, spec: LaunchSpec) -> Box:
        """Start a blank box; returns when runsc has started it, before its hello.

        Raises:
            PolicyError: The spec is weaker than the wall (`SPEC_TOO_WEAK`).
            HostError: runsc is missing, failed or timed out; a shared mount is not the directory
                that was approved (`HOST_UNSUITED`).
        """
        ...

    async def digest_for(self, spec: LaunchSpec) -> str:
        """The `Box.spec_digest` that a launch of this would have now. Raises as `launch`.

        Args:
            spec: Its slot was prepared, and may be running another spec.
        """
        ...

    async def prove(self, box: Box, spec: LaunchSpec, inside: Facts) -> Receipt:
        """Compare what runs with what the spec asked for.

        Raises:
            PostureError: It is not the same.
            PeerError: The box has ended (`BOX_BROKEN`).
        """
        ...

    async def ended(self, box: Box) -> str:
        """Wait until the box's sentry is gone; return why in a word (`exit`, `oom`, `killed`)."""
        ...

    async def enclose(self, slot: SlotId, pid: int) -> bool:
        """Limit what the slot's airlock may use of the machine, until the slot is discarded.

        Returns:
            Whether this host can do that.
        """
        ...

    def effort(self, box: Box) -> int:
        """Processor time that the box has used so far, in clock ticks; 0 when it is gone."""
        ...

    def freeze(self, box: Box) -> None:
        """Let the box do nothing until it is thawed; nothing when it is gone.

        It goes on being a box: it can be discarded, and what it holds is as it was. A program in it
        that is computing at this moment may go on until its next system call: see `is_still`.
        """
        ...

    def is_still(self, box: Box) -> bool:
        """Whether nothing of a frozen box runs. Ask a moment after `freeze`, which takes one."""
        ...

    def thaw(self, box: Box) -> None:
        """Let a frozen box go on. Nothing when it is gone, or was not frozen."""
        ...

    async def discard(self, slot: SlotId) -> None:
        """Kill whatever runs in the slot and remove everything of it but its durable files.

        Idempotent; never raises for what is already gone.
        """
        ...

    async def survivors(self) -> list[Box]:
        """Boxes of this state directory that run now, whoever started them."""
        ...

    async def reopen(self, slot: SlotId) -> SlotDir:
        """The directories of a slot that a former core prepared. Raises HostError."""
        ...


# --- the airlock ----------------------------------------------------------------------------------


class Claim(NamedTuple):
    """What binds a blank slot to a session, or a new airlock to a running box."""

    session: SessionId
    epoch: int
    key: bytes
    out_seq: int
    """Last outbound record the ledger has committed in this epoch."""
    out_hash: bytes
    """Its hash; empty at 0."""


class BoxArrived(NamedTuple):
    """The box opened the bell and said hello (again)."""

    hello: Hello


class KeyRead(NamedTuple):
    """The box has the key; the file is gone."""


class Outbound(NamedTuple):
    """Verified records of one segment, in order. Commit them, then `ack(last_seq)`."""

    first_seq: int
    bodies: tuple[OutboundBody, ...]
    last_hash: bytes

    @property
    def last_seq(self) -> int:
        """Sequence number of the last record."""
        return self.first_seq + len(self.bodies) - 1


class Asked(NamedTuple):
    """The box wants something of the model."""

    ask: ModelAsk


class AskedTool(NamedTuple):
    """The box wants a host tool. Answer each with exactly one `tell_tool`, whatever happens."""

    use: Use


class BoxGone(NamedTuple):
    """The bell connection closed."""


class BoxHung(NamedTuple):
    """The box did not answer its watchdog."""


class Tampered(NamedTuple):
    """The box broke the queue's rules. Nothing after this is read."""

    reason: str
    """One of a closed set of words: `gap`, `mac`, `format`, `size`, `file`, `frame`, …"""


LinkEvent = BoxArrived | KeyRead | Outbound | Asked | AskedTool | BoxGone | BoxHung | Tampered


class AirlockLink(Protocol):
    """The core's end of one airlock."""

    pid: int
    """The airlock's process id."""
    controls: tuple[str, ...]
    """Controls that are in force on it, by name."""
    missing: tuple[str, ...]
    """Controls that this machine or user could not offer."""

    async def claim(self, claim: Claim) -> None:
        """Give the airlock its session. The box gets the key file unless it says it has it."""
        ...

    async def publish(self, bodies: Sequence[InboundBody]) -> None:
        """Publish records to the box in one segment, in order, and ring."""
        ...

    async def ack(self, seq: int) -> None:
        """All outbound records up to `seq` are committed: their segments may be removed."""
        ...

    async def tell(self, event: ModelTell) -> None:
        """Send a model event to the box. Dropped when the box's model socket is gone."""
        ...

    async def offer_tools(self, offered: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Let the box have `tools.sock`, or take it away with every connection on it.

        Idempotent, and good at any time from the start on. A fresh airlock offers nothing, so it
        has to be told again. One that was told too often ends: the next one goes on.
        """
        ...

    async def tell_tool(self, used: Used) -> None:
        """Answer an `AskedTool`, which frees its place; dropped when whoever asked is gone."""
        ...

    def stands_still(self, frozen: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Say whether the box is frozen: a frozen one is not asked whether it is there."""
        ...

    async def receive(self) -> LinkEvent | None:
        """Wait for the next event; None when the airlock has ended."""
        ...

    async def close(self) -> None:
        """End the airlock and wait for it. Idempotent."""
        ...


class Airlocks(Protocol):
    """Starts airlocks from the zygote."""

    async def start(self, directory: SlotDir) -> AirlockLink:
        """Start a confined airlock on a slot's directories. Raises HostError."""
        ...

    async def sweep(self, directory: SlotDir) -> None:
        """Empty directories that a box could write, in a confined process of their own."""
        ...

    async def sweep_path(self, path: Path, *, uid: int, gid: int) -> None:
        """Empty any directory that a box of that uid and gid could write; it stays itself.

        Raises:
            HostError: `AIRLOCK_FAILED`, when something in it does not go.
        """
        ...

    async def count(
        self,
        directory: SlotDir,
        box: Box | None,
        *,
        workspace: Path,
        memory: Path,
        most_files: int,
    ) -> Holding:
        """Count what a box holds, in a confined process of its own. Raises HostError.

        Args:
            directory: The box's slot.
            box: Its open files without a name count too; None when it does not run.
            workspace: The session's directory.
            memory: The agent's.
            most_files: Entries of one of them after which nobody goes on counting.
        """
        ...

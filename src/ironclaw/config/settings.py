"""Every setting there is: its name, its type, its default and what it means.

`docs/reference/configuration.md` is made from this table (`python -m ironclaw.testing.docs`).
Secrets are never settings: they live in 0600 files of the state directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ironclaw.config.providers import ProviderSettings

PortNumber = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=86_400.0)]
Word = Annotated[str, msgspec.Meta(max_length=255)]
PublicKey = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z")]
"""Raw Ed25519, in base64."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the sections."""


class PathSettings(_Section, frozen=True):
    """Where things are kept."""

    state_dir: Path = Path()
    """What survives a reboot: store, keys, images, workspaces. Must be the user's own, 0700."""
    runtime_dir: Path = Path()
    """What does not: sockets, slots, bundles. Must be the user's own, 0700."""
    image_dir: Path = Path()
    """Images and unpacked root file systems; the state directory when not set."""


class ApiSettings(_Section, frozen=True):
    """The HTTP API."""

    tcp: bool = True
    """Listen on `host` and `port`; the unix socket `api.sock` is always there."""
    host: Word = "127.0.0.1"
    """Address to listen on. Anything but loopback needs `allow_remote`."""
    port: PortNumber = 8787
    """TCP port; 0 takes a free one."""
    allow_remote: bool = False
    """Permit a `host` that other machines can reach. There is no TLS here: put a proxy in front."""
    allowed_hosts: tuple[Word, ...] = ()
    """More values accepted in the `Host` header, for a proxy in front."""
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    """Largest request body."""
    max_streams: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 128
    """Event streams open at once."""
    heartbeat_s: Seconds = 15.0
    """Pause between comments on a silent event stream."""
    reply_s: Seconds = 600.0
    """How long the OpenAI-compatible endpoints wait for a reply; the agent goes on in any case."""


class SandboxSettings(_Section, frozen=True):
    """The wall and what stands behind it."""

    runsc: Word = "runsc"
    """The runsc program: a name on PATH or an absolute path."""
    platform: Literal["ptrace", "systrap"] = "ptrace"
    """gVisor platform. On `systrap` a box that is not frozen takes 3 % of a core by itself, on
    `ptrace` 0.04 %."""
    max_boxes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 64
    """Boxes of sessions that may run at once; blank slots come on top."""
    pool_size: Annotated[int, msgspec.Meta(ge=0, le=64)] = 1
    """Blank slots kept ready for each new agent that does not say otherwise."""
    idle_stop_s: Annotated[float, msgspec.Meta(ge=1.0, le=7 * 86_400.0)] = 900.0
    """A box without work for this long is stopped; its session goes on in a fresh one."""
    # Longer than what a box does by itself after a turn, such as to begin a summary, and than a
    # fresh sentry needs to learn the processor's clock: each look at the time is a call until then.
    freeze_after_s: Annotated[float, msgspec.Meta(ge=0.1, le=7 * 86_400.0)] = 3.0
    """Seconds, from 0.1: a box without work for this long is frozen and takes no processor until it
    is spoken to. A week (604800) is as good as never; `runsc ps` waits for a frozen box."""
    disk_bytes: Annotated[int, msgspec.Meta(ge=4 * 1024**2, le=1024**4)] = 1024**3
    """Bytes that a session's workspace may hold, and again the memory of its agent; a box that goes
    on writing over it is ended. For agents whose own limits do not say otherwise."""
    disk_files: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 100_000
    """Files and directories that each of the two may hold."""


class GatewaySettings(_Section, frozen=True):
    """What no approval can go beyond. Who approves what is the policy: `ironclaw policy`."""

    mount_roots: Annotated[tuple[Path, ...], msgspec.Meta(max_length=64)] = ()
    """Directories of this machine below which an agent may be shown one; none: nothing is shared
    this way, whoever approves it."""


class SkillSettings(_Section, frozen=True):
    """Skills that people may give to agents. See skills.md."""

    trusted_keys: Annotated[tuple[PublicKey, ...], msgspec.Meta(max_length=64)] = ()
    """Public keys in base64: what they have signed may be imported, and given to agents."""
    by_digest: bool = False
    """Let people vouch for skills that nobody signed, or somebody else: the card then says so, and
    whoever approves it approves exactly these files."""


class ConversationSettings(_Section, frozen=True):
    """How agents talk with people."""

    new_messages: Literal["queue", "steer"] = "queue"
    """What is said while an agent is at work: `queue` has it answered when that is done, `steer`
    shows it to the agent before its next step. Only what is said in the same chat and thread joins
    the work there."""
    files_bytes: Annotated[int, msgspec.Meta(ge=0, le=1024**4)] = 256 * 1024**2
    """Bytes of files that one conversation may hold: those that people send and those that they are
    sent. No more are taken beyond it."""
    agent_files_bytes: Annotated[int, msgspec.Meta(ge=0, le=1024**5)] = 4 * 1024**3
    """The same of all conversations of one agent together: whoever may talk to it can begin as many
    as they like."""


class AgentSettings(_Section, frozen=True):
    """Agents that write to each other: an agent needs another one as a destination for that."""

    max_hops: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    """Agents that a message may come through; beyond it no agent asks another one."""
    messages_per_hour: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 30
    """Messages that one agent may begin with another one in an hour."""


class ModelSettings(_Section, frozen=True):
    """Model providers beside `scripted`, which is always there. See models.md."""

    providers: dict[str, ProviderSettings] = {}
    """A table for each: `[models.providers.NAME]`."""
    currency: Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")] = "USD"
    """In what prices and budgets are written. The prices that IronClaw knows by itself are in USD:
    with another currency each model needs a price of its own."""


class LogSettings(_Section, frozen=True):
    """What the daemon writes down. Never message content."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level written."""
    form: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""
    max_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024, le=1024**3)] = 16 * 1024**2
    """Size at which the log file is moved aside, to one file beside it, and begun anew."""


class Settings(_Section, frozen=True):
    """All of it. Made by `ironclaw.config.load.load_settings` only."""

    paths: PathSettings = PathSettings()
    api: ApiSettings = ApiSettings()
    sandbox: SandboxSettings = SandboxSettings()
    gateway: GatewaySettings = GatewaySettings()
    agents: AgentSettings = AgentSettings()
    skills: SkillSettings = SkillSettings()
    conversation: ConversationSettings = ConversationSettings()
    models: ModelSettings = ModelSettings()
    log: LogSettings = LogSettings()

    @property
    def state_dir(self) -> Path:
        """What survives a reboot."""
        return self.paths.state_dir

    @property
    def runtime_dir(self) -> Path:
        """What does not."""
        return self.paths.runtime_dir

    @property
    def image_dir(self) -> Path:
        """Where images and root file systems are."""
        return self.paths.image_dir

    @property
    def api_socket(self) -> Path:
        """The API's unix socket."""
        return self.paths.runtime_dir / "api.sock"

    @property
    def log_file(self) -> Path:
        """What keeper and core write."""
        return self.paths.state_dir / "log" / "ironclaw.log"

    @property
    def token_file(self) -> Path:
        """The first token, minted by the daemon, read by the command line."""
        return self.paths.state_dir / "api-token"

    @property
    def receipt_key_file(self) -> Path:
        """The public key that receipts are verified with."""
        return self.paths.state_dir / "receipt-key.pub"

    @property
    def audit_key_file(self) -> Path:
        """The public key that checkpoints of the audit are verified with."""
        return self.paths.state_dir / "audit-key.pub"

    @property
    def audit_head_file(self) -> Path:
        """The newest checkpoint of the audit, outside of the store."""
        return self.paths.state_dir / "audit-head.json"

    @property
    def skills_dir(self) -> Path:
        """Skills that were imported."""
        return self.paths.state_dir / "skills"

    @property
    def receipts_dir(self) -> Path:
        """Receipts as files: `<session>/<epoch>.json`."""
        return self.paths.state_dir / "receipts"


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "paths": PathSettings,
    "api": ApiSettings,
    "sandbox": SandboxSettings,
    "gateway": GatewaySettings,
    "agents": AgentSettings,
    "skills": SkillSettings,
    "conversation": ConversationSettings,
    "models": ModelSettings,
    "log": LogSettings,
}

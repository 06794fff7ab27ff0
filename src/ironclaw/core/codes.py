"""The one table of error codes: API field, metric label, audit field, docs row and exit code.

Exit codes: 3..39 the caller can mend it, 40..49 a rule refused it, 50..59 a box lied or broke,
60..79 the host or a service failed. 1 is our bug, 2 is a wrong command line.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class CodeRow(NamedTuple):
    """What one code means on each surface."""

    exit_code: int
    http_status: int
    meaning: str


class Code(enum.StrEnum):
    """Every way in which IronClaw says no or fails."""

    # The caller can mend it.
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    CONFIG_INVALID = "config_invalid"
    UNAUTHENTICATED = "unauthenticated"
    NOT_RUNNING = "not_running"
    ALREADY_RUNNING = "already_running"
    STOPPED = "stopped"
    # A rule refused it.
    FORBIDDEN = "forbidden"
    DENIED = "denied"
    IMAGE_UNTRUSTED = "image_untrusted"
    SPEC_TOO_WEAK = "spec_too_weak"
    RATE_LIMITED = "rate_limited"
    RECEIPT_INVALID = "receipt_invalid"
    AUDIT_INVALID = "audit_invalid"
    # A box lied or broke.
    TAMPER = "tamper"
    POSTURE_FAILED = "posture_failed"
    BOX_BROKEN = "box_broken"
    BOX_HUNG = "box_hung"
    QUARANTINED = "quarantined"
    TOO_MANY_STEPS = "too_many_steps"
    TURN_TOO_LONG = "turn_too_long"
    BOX_OUT_OF_MEMORY = "box_out_of_memory"
    BOX_OUT_OF_DISK = "box_out_of_disk"
    NOT_CONTAINED = "not_contained"
    # The host or a service failed.
    RUNTIME_MISSING = "runtime_missing"
    RUNTIME_TOO_OLD = "runtime_too_old"
    RUNTIME_FAILED = "runtime_failed"
    LAUNCH_TIMEOUT = "launch_timeout"
    DISK_FULL = "disk_full"
    STORE_CORRUPT = "store_corrupt"
    STORE_FAILED = "store_failed"
    KEY_UNUSABLE = "key_unusable"
    IMAGE_BROKEN = "image_broken"
    IMAGE_MISSING = "image_missing"
    AIRLOCK_FAILED = "airlock_failed"
    MODEL_FAILED = "model_failed"
    HOST_UNSUITED = "host_unsuited"
    DELIVERY_FAILED = "delivery_failed"
    UNAVAILABLE = "unavailable"
    TARGETS_MISSED = "targets_missed"
    # Ours.
    BUG = "bug"


CODES: dict[Code, CodeRow] = {
    Code.INVALID: CodeRow(3, 400, "The request is not well formed; the message says which part."),
    Code.NOT_FOUND: CodeRow(4, 404, "Nothing here has that name or id."),
    Code.CONFLICT: CodeRow(5, 409, "It exists already, or changed meanwhile."),
    Code.TOO_LARGE: CodeRow(6, 413, "Over a size limit; nothing of it was kept."),
    Code.CONFIG_INVALID: CodeRow(7, 400, "The configuration has a mistake; the message names it."),
    Code.UNAUTHENTICATED: CodeRow(8, 401, "No token, or one that is not valid."),
    Code.NOT_RUNNING: CodeRow(9, 503, "The daemon is not running: `ironclaw up` starts it."),
    Code.ALREADY_RUNNING: CodeRow(10, 409, "Another daemon uses this state directory."),
    Code.STOPPED: CodeRow(11, 409, "The work on the message was stopped on request."),
    Code.FORBIDDEN: CodeRow(40, 403, "The token or the principal may not do this."),
    Code.DENIED: CodeRow(46, 403, "A rule or a person has said no to this already; it says which."),
    Code.IMAGE_UNTRUSTED: CodeRow(41, 403, "The image is not pinned or its signature is wrong."),
    Code.SPEC_TOO_WEAK: CodeRow(42, 403, "A sandbox weaker than the wall was asked for."),
    Code.RATE_LIMITED: CodeRow(43, 429, "Too many requests for now, or a budget is used up."),
    Code.RECEIPT_INVALID: CodeRow(44, 403, "A receipt is not what its key signed, or not proven."),
    Code.AUDIT_INVALID: CodeRow(45, 403, "The audit is not what was written; it says where."),
    Code.TAMPER: CodeRow(50, 502, "A box broke the queue's rules; its session is quarantined."),
    Code.POSTURE_FAILED: CodeRow(51, 502, "A launched box is not as sealed as its spec says."),
    Code.BOX_BROKEN: CodeRow(52, 502, "The agent program ended or refused to go on."),
    Code.BOX_HUNG: CodeRow(53, 502, "The agent program no longer answers its watchdog."),
    Code.QUARANTINED: CodeRow(54, 409, "The session is quarantined; start a new one."),
    Code.NOT_CONTAINED: CodeRow(55, 502, "An attack of the proof got through, or proves nothing."),
    Code.TOO_MANY_STEPS: CodeRow(56, 502, "A turn took every step that its agent may take."),
    Code.BOX_OUT_OF_MEMORY: CodeRow(57, 502, "The agent took more memory than it may."),
    Code.BOX_OUT_OF_DISK: CodeRow(58, 502, "The agent used more disk than it may."),
    Code.TURN_TOO_LONG: CodeRow(59, 502, "A turn took longer in all than its agent may take."),
    Code.RUNTIME_MISSING: CodeRow(60, 503, "runsc is not installed."),
    Code.RUNTIME_TOO_OLD: CodeRow(61, 503, "runsc is older than 20240729."),
    Code.RUNTIME_FAILED: CodeRow(62, 503, "runsc failed; the detail has the command to replay."),
    Code.LAUNCH_TIMEOUT: CodeRow(63, 503, "The box did not say hello in time."),
    Code.DISK_FULL: CodeRow(64, 507, "The disk is full; free space, then try again."),
    Code.STORE_CORRUPT: CodeRow(65, 503, "The store does not pass its check; restore a backup."),
    Code.STORE_FAILED: CodeRow(66, 503, "The store could not be read or written."),
    Code.KEY_UNUSABLE: CodeRow(67, 503, "A key is missing, wrong or readable by others."),
    Code.IMAGE_BROKEN: CodeRow(68, 503, "Image content does not match its digest."),
    Code.IMAGE_MISSING: CodeRow(69, 503, "No image is provisioned: `ironclaw image build`."),
    Code.AIRLOCK_FAILED: CodeRow(70, 503, "An airlock could not be started."),
    Code.MODEL_FAILED: CodeRow(71, 503, "The model provider failed."),
    Code.HOST_UNSUITED: CodeRow(72, 503, "The machine lacks something: `ironclaw doctor`."),
    Code.DELIVERY_FAILED: CodeRow(73, 502, "A reply could not be handed to its channel."),
    Code.UNAVAILABLE: CodeRow(74, 503, "Starting, stopping or overloaded; try again."),
    Code.TARGETS_MISSED: CodeRow(75, 503, "`ironclaw bench --strict` missed one of its targets."),
    Code.BUG: CodeRow(1, 500, "A fault of IronClaw itself; please report it."),
}

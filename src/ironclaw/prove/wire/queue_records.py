"""Attacks on the records of the encrypted queue, and what stops each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.prove.model import Check
from ironclaw.prove.wire import careless as a
from ironclaw.prove.wire.checks import Row, tampering, tampers

if TYPE_CHECKING:
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin
    from ironclaw.prove.wire.cells import Cell


async def _replayed(_lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    await cell.order("honest")
    return await cell.order("replayed_segment")


async def _other_epoch(_lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    # Twice: then the first record, which names this life, is gone from `in/`.
    for _ in range(2):
        await cell.order("honest")
    return await cell.order_in_epoch(2, "other_epoch")


RECORDS: Final = (
    tampering(
        "queue.rewritten_record",
        "A record whose content was changed is tampering.",
        "change the body of a sealed record, page key in hand",
        a.MAC,
        "trusts-macs",
        "mac",
    ),
    tampering(
        "queue.wrong_mac",
        "A record without the right MAC is tampering.",
        "put zeros in place of a record's MAC",
        a.MAC,
        "trusts-macs",
        "mac",
    ),
    tampering(
        "queue.old_page",
        "An old page over a new one is tampering, though its encryption is right.",
        "put an earlier version of a page into a segment",
        a.MAC,
        "trusts-macs",
        "mac",
    ),
    Row(
        Check(
            "queue.replayed_segment",
            "A segment that was taken already is tampering when it comes again.",
            "publish the bytes of the last segment under the next name",
            a.GAP,
            tampers("gap"),
            twin="trusts-everything",
        ),
        run=_replayed,
    ),
    tampering(
        "queue.reordered_records",
        "Records in another order are tampering.",
        "swap two records of a segment",
        a.ORDER,
        "trusts-everything",
        "order",
    ),
    tampering(
        "queue.gap",
        "A record that leaves a number out is tampering.",
        "seal the record after the next one",
        a.GAP,
        "trusts-numbers",
        "gap",
    ),
    tampering(
        "queue.order",
        "A record that does not name its predecessor is tampering.",
        "change the predecessor's hash of a record",
        a.ORDER,
        "trusts-order",
        "order",
    ),
    tampering(
        "queue.far",
        "A segment that leaves others out is tampering.",
        "publish a segment five records ahead",
        a.SWEEP,
        "sweeps-nothing",
        "gap",
    ),
    tampering(
        "queue.foreign_key",
        "A segment under another session's key is tampering.",
        "seal a segment with another key",
        a.SESSION_KEY,
        "one-key-for-all",
        "format",
    ),
    tampering(
        "queue.other_direction",
        "What the host wrote cannot be played back as what the box wrote.",
        "copy an inbound segment to the outbound queue",
        a.DIRECTION_KEY,
        "one-key-for-both",
        "format",
    ),
    Row(
        Check(
            "queue.other_epoch",
            "A record of a former life of the session is tampering.",
            "seal the first record of the life before",
            a.EPOCH,
            tampers("order"),
            twin="forgets-epoch",
        ),
        run=_other_epoch,
    ),
    tampering(
        "queue.other_session",
        "A record made for another session is tampering, whatever its key.",
        "seal a record with another session's id",
        a.SESSION,
        "forgets-session",
        "mac",
    ),
    tampering(
        "queue.foreign_kind",
        "A box cannot say what only the host may say.",
        "seal a message of a person as an outbound record",
        a.CLOSED_BODIES,
        "reads-any-body",
        "body",
    ),
    tampering(
        "queue.lying_kind",
        "A record that says to be of another kind is tampering.",
        "seal the end of a turn as a step",
        a.CLOSED_BODIES,
        "reads-any-body",
        "body",
    ),
    tampering(
        "queue.unknown_field",
        "A record with a field that the contract does not know is tampering.",
        "add a field to a record",
        a.CLOSED_BODIES,
        "reads-any-body",
        "body",
    ),
    tampering(
        "queue.nested_body",
        "A record that is nested a hundred thousand deep is tampering and no crash.",
        "seal 100,000 nested maps",
        a.CLOSED_BODIES,
        "reads-any-body",
        "body",
    ),
)

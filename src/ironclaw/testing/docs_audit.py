"""Makes docs/reference/audit.md: tables of events and fields from the code, and the prose."""

from __future__ import annotations

import inspect
import re
from typing import Final

from ironclaw.domain.audit import FIELDS, AuditEntry, AuditRecord, Via
from ironclaw.domain.audit_check import Fault
from ironclaw.domain.audit_kinds import KINDS
from ironclaw.services.auditing import COUNT, INTERVAL_S
from ironclaw.services.sparing import WINDOW_S

_PLACE: Final = ("number", "at_ms", "actor", "via", "previous", "hash")

_HEAD: Final = """\
Who did what, through what: a chain of records in the store that only grows, with signed
checkpoints. No record has a field that could hold what people or agents said, or a secret.

```console
$ ironclaw audit tail
$ ironclaw audit show 12
$ ironclaw why ID                        # of a message, session, receipt, agent, ...
$ ironclaw audit verify
$ ironclaw audit export audit.jsonl
$ ironclaw audit verify audit.jsonl --key audit-key.pub
$ ironclaw audit rotate archive.jsonl
$ ironclaw audit verify archive.jsonl --store
```

All but `rotate` work while no daemon runs. `verify` never changes anything; it exits with 0
only when the whole chain holds, else with 45 (`audit_invalid`), and `--json` has `fault`,
`number` and `place`.
"""

_CHAIN: Final = """\
## The chain

* A record is one line of canonical JSON: keys sorted, no white space, UTF-8, whole numbers,
  fields without a value left out. Any other form of the same is refused.
* `hash` is the SHA-256 of `ironclaw audit record`, a zero byte, and the line without `hash`, in
  hexadecimal. `previous` is the `hash` of the record before; of record 1 it is the SHA-256 of
  `ironclaw audit 1`. `number` grows by one, without gaps.
* One place appends, in the transaction of what the record tells of: both are on the disk or
  none is. What a change writes, its status, its decision and the records of all of them are
  one transaction.
* Records of before the chain (schema 3 and older) are chained, in their order, by the
  migration.

## Checkpoints

A checkpoint is signed with an Ed25519 key of its own (in `keys/ring.sealed`, made at the first
start, the same through every rotation; public half in `audit-key.pub`, PEM). It says: at this
time the head of the chain was this record, with this hash. It is made {count} records or
{interval:g} seconds after the first record that is not signed, whichever is first, when the
daemon stops, and when an export asks for it. Before it is signed, everything since the
checkpoint before is checked: a broken chain is never signed, and `status` says so. Nothing runs
while there is nothing to sign.

`index` counts checkpoints without gaps. The newest one is kept outside of the store too, in
`audit-head.json` of the state directory: a store that is put back to an older state does not
lead to it. `status` says so when it was missing at a start. **Copy that file to another
machine** and give it to `verify --checkpoint`: then even somebody who puts the whole state
directory back is found.

The signature is over `DSSEv1 <length of type> <type> <length of payload> <payload>` with the
type `{kind}` and the payload `{{"at_ms":…,"format":1,"hash":"…","index":…,"number":…}}` (keys
in this order, no white space).

A house whose newest record cannot be read does not start (`audit_invalid`): nothing can follow
that record. Put back a backup.

What no checkpoint is over yet is guarded by its hashes only: whoever has the store's key and
changes the newest records of a house that was killed, before it starts again, is not found.
Whoever has taken over the core has the key that signs.

## What `verify` finds

| fault | what it means |
|---|---|
{faults}

It tells the first break: after it nothing is known. Measured, with the start of the command:
100,002 records and 1,564 checkpoints take 1.6 s of one core, of the store as of an exported
file (26 MB); 2.6 to 4.0 s by the clock on two cores that a load of 15 shared. Memory stays at
45 MB: one line is held at a time.

## Files

`export` writes JSONL, a page at a time: a header
(`{{"audit":{{"first":…,"format":1,"through":…}}}}`), then each record, and after the record
that it is over each checkpoint (`{{"checkpoint":{{…}}}}`). `--to` is rounded up to a
checkpoint, so that the last line is always signed. The file is verified before the command
succeeds. The header is not signed; a file that was cut at a checkpoint and has a fitting header
is a right file of less: `--checkpoint` finds that.

`rotate` exports the oldest records, verifies the file, and only then removes them from the
store, up to the signed checkpoint at its end; that checkpoint stays, and `audit.rotated` names
it and the file's SHA-256. A front that is missing without that record is a cut.

## Checking with Python

With the library `cryptography` and nothing of ours:

```python
{snippet}
```

## What strangers can cause

`auth.failed` and `router.refused` are recorded at once the first time, then at most once every
{window:g} s for each reason, with a `count` of what came meanwhile; what was only counted is
recorded when the daemon stops. A flood of any length is at most 1,440 records a day of each
reason, about 0.5 MB.
"""


SNIPPET: Final = """\
import base64, hashlib, json
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def canonical(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


key = load_pem_public_key(open("audit-key.pub", "rb").read())
kind = b"application/vnd.ironclaw.audit-checkpoint+json"
head = None
for line in open("audit.jsonl", "rb"):
    item = json.loads(line)
    if "checkpoint" in item:
        said = item["checkpoint"]
        payload = {name: said[name] for name in ("at_ms", "hash", "index", "number")}
        raw = canonical(payload | {"format": 1})
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(raw), raw)
        key.verify(base64.b64decode(said["sig"]), signed)  # raises InvalidSignature
        assert head in (None, (said["number"], said["hash"])), said["number"]
        head = said["number"], said["hash"]
    elif "audit" not in item:
        digest = item.pop("hash")
        bare = b"ironclaw audit record\\0" + canonical(item)
        assert hashlib.sha256(bare).hexdigest() == digest, item["number"]
        assert head in (None, (item["number"] - 1, item["previous"])), item["number"]
        head = item["number"], digest
print("the chain holds through record", head[0])
"""
"""A verifier of its own, which a test runs."""


def audit() -> str:
    """The body of docs/reference/audit.md."""
    faults = "\n".join(f"| `{fault}` | {text} |" for fault, text in _members(Fault).items())
    chain = _CHAIN.format(
        count=COUNT,
        interval=INTERVAL_S,
        window=WINDOW_S,
        kind="application/vnd.ironclaw.audit-checkpoint+json",
        faults=faults,
        snippet=SNIPPET.rstrip(),
    )
    events = "\n".join(
        f"| `{event}` | {kind.meaning} | {_names(kind.must, kind.may)} |"
        for event, kind in KINDS.items()
    )
    docs = _docs(AuditEntry) | _docs(AuditRecord)
    fields = "\n".join(f"| `{name}` | {docs[name]} |" for name in (*_PLACE, *FIELDS))
    via = "\n".join(f"| `{one}` | {text} |" for one, text in _members(Via).items())
    return (
        f"{_HEAD}\n## Events\n\nFields in brackets may be missing.\n\n"
        f"| event | when it is recorded | fields |\n|---|---|---|\n{events}\n\n"
        f"## Fields\n\nThe first six are the record's place, and every record has them; `actor`\n"
        f"and `via` are left out when the core did it by itself.\n\n"
        f"| field | what |\n|---|---|\n{fields}\n\n"
        f"| via | what |\n|---|---|\n{via}\n\n{chain}"
    )


def _names(must: tuple[str, ...], may: tuple[str, ...]) -> str:
    return ", ".join([*(f"`{name}`" for name in must), *(f"[`{name}`]" for name in may)]) or "none"


def _docs(struct: type) -> dict[str, str]:
    return _texts(r'^    (\w+): [^\n]*\n    """(.*?)"""', struct)


def _members(enumeration: type) -> dict[str, str]:
    texts = _texts(r'^    \w+ = "([a-z_]+)"[^\n]*\n    """(.*?)"""', enumeration)
    return dict(texts)


def _texts(pattern: str, source: type) -> dict[str, str]:
    found = re.findall(pattern, inspect.getsource(source), re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()) for name, text in found}

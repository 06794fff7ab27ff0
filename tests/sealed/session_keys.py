"""Prints the keys of every session of a house that is down, as JSON: session -> two hex strings.

python session_keys.py STATE      (as the house's user)
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from ironclaw.keys.custodian import Custodian
from ironclaw.keys.master import find_master
from ironclaw.keys.ring import Ring
from ironclaw.store.engine import Store
from ironclaw.store.key_rows import KeyRows


async def main() -> None:
    state = Path(sys.argv[1])
    ring = Ring.open(state / "keys", find_master(state / "keys", {}), store_exists=True)
    async with await Store.open(state / "store.db", ring.store_key) as store:
        rows = KeyRows(store)
        custodian = await Custodian.start(ring, rows)
        sessions = await rows.load()
        found = {s: [custodian.key(s).hex(), custodian.content_key(s).hex()] for s in sessions}
    print(json.dumps({"sessions": found, "store": ring.store_key.hex()}))


asyncio.run(main())

"""Looks for byte strings in every file below some directories; standard library only.

python grep_tree.py DIRECTORY...  < {"name": ["hex", ...]}

Prints {"seen": files, "hits": [[name, path]]}.
"""

from __future__ import annotations

import json
import os
import stat
import sys

needles = {name: [bytes.fromhex(h) for h in all_] for name, all_ in json.load(sys.stdin).items()}
hits = set()
seen = 0
for top in sys.argv[1:]:
    for parent, _, files in os.walk(top):
        for file in files:
            path = os.path.join(parent, file)  # noqa: PTH118 - a script for any interpreter
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            with open(path, "rb") as opened:  # noqa: PTH123
                data = opened.read()
            seen += 1
            hits |= {(name, path) for name, all_ in needles.items() if any(n in data for n in all_)}
print(json.dumps({"seen": seen, "hits": sorted(hits)}))

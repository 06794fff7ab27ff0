"""Looks for byte strings in the memory of a sentry, and with it in that of all it runs.

python box_memory.py PID  < {"name": ["hex", ...]}        (as root, outside)

Prints {"seen": bytes, "hits": [name]}. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import sys

CHUNK = 1024 * 1024
pid = sys.argv[1]
needles = {name: [bytes.fromhex(h) for h in all_] for name, all_ in json.load(sys.stdin).items()}
hits = set()
seen = 0


def look(data: bytes) -> None:
    global seen  # noqa: PLW0603 - a script
    seen += len(data)
    hits.update(name for name, all_ in needles.items() if any(each in data for each in all_))


def read(fd: int, start: int, end: int) -> None:
    kept = b""
    while start < end:
        try:
            data = os.pread(fd, min(CHUNK, end - start), start)
        except OSError:
            return
        if not data:
            return
        look(kept + data)
        kept = data[-4096:]
        start += len(data)


def memory_of_the_box() -> None:
    """The file that backs what the box's programs have; only what is there of it."""
    for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        path = f"/proc/{pid}/fd/{name}"
        try:
            if "memfd:" not in os.readlink(path):  # noqa: PTH115
                continue
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        end = 0
        while True:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
                end = os.lseek(fd, start, os.SEEK_HOLE)
            except OSError:
                break
            read(fd, start, end)
        os.close(fd)


def memory_of_the_sentry() -> None:
    """What the sentry itself has: its pages that were ever touched."""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    pages = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
    size = os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/{pid}/maps") as maps:  # noqa: PTH123
        lines = maps.read().splitlines()
    for line in lines:
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r.-p ", line)
        if found is None or "[v" in line:
            continue
        start, end = int(found[1], 16), int(found[2], 16)
        if end - start > 64 * 1024 * CHUNK:
            continue
        table = os.pread(pages, (end - start) // size * 8, start // size * 8)
        run = None
        for number in range(len(table) // 8 + 1):
            # The highest bit of an entry: the page is there.
            there = number * 8 + 7 < len(table) and table[number * 8 + 7] & 0x80
            if there and run is None:
                run = number
            elif not there and run is not None:
                read(fd, start + run * size, start + number * size)
                run = None


memory_of_the_box()
memory_of_the_sentry()
print(json.dumps({"seen": seen, "hits": sorted(hits)}))

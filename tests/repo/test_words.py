"""What no file of the project says: somebody's machine, a package index, a foreign address."""

from __future__ import annotations

import re

from tests.support.tree import ROOT, name_of, texts

# The closed list of hosts that a file may name. An index or a mirror is the machine's matter.
HOSTS = {
    "127.0.0.1",
    "[::1]",
    "localhost",
    "ironclaw",
    "testserver",
    "www.apache.org",
    "json-schema.org",
}
_URL = re.compile(r"\b[a-z][a-z0-9+]*://([^\s/'\"`)>\\:{$]+)", re.IGNORECASE)
_RESERVED = re.compile(r"(^|\.)(example|test|invalid|localhost)(\.(com|org|net))?$")  # RFC 2606
_MACHINE = re.compile(r"/(?:work|Users|mnt|home/[a-z]+|root)/[a-z]")


def test_no_file_names_a_foreign_host() -> None:
    """An address names a reserved host or one of the few that the project stands by."""
    found = {
        f"{name_of(path)}: {host}"
        for path in texts()
        for host in _URL.findall(path.read_text())
        if "." in host and host.lower() not in HOSTS and not _RESERVED.search(host.lower())
    }

    assert sorted(found) == []


def test_no_file_names_the_machine_it_was_written_on() -> None:
    """No path of a checkout or of somebody's home."""
    found = {
        f"{name_of(path)}: {match[0]}"
        for path in texts()
        for match in [_MACHINE.search(path.read_text())]
        if match
    }
    here = {name_of(path) for path in texts() if str(ROOT) in path.read_text()}

    assert sorted(found | here) == []

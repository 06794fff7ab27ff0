"""How an error of the system is named in an outcome: by its errno, never by a class of Python's."""

from __future__ import annotations

import errno


def error_name(error: OSError) -> str:
    """Name it: `EPERM`; `ETIMEDOUT` when time ran out; by its number when that is no errno."""
    if error.errno is not None and error.errno in errno.errorcode:
        return errno.errorcode[error.errno]
    if isinstance(error, TimeoutError):
        return "ETIMEDOUT"
    if error.errno is None:
        return f"error: no errno: {error}"
    return f"errno {error.errno}"


def is_error_name(word: str) -> bool:
    """Whether an outcome is the answer of some layer, and nothing that an attack got."""
    return word in errno.errorcode.values() or word.startswith(("errno ", "killed by "))

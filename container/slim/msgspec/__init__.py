# ruff: noqa: F401, ANN001, ANN201, E402 (laid over the library's own in the sealed program)
"""The part of msgspec that the sealed program uses: structs and msgpack, and JSON.

The library's own `__init__` also imports its schema inspector, which pulls in `inspect`, `ast`,
`tokenize` and more: many milliseconds in every box, for code that no box calls.
"""

import sys

if "_msgspec_core" in sys.builtin_module_names:
    # Linked into the program. The importer knows built-in modules by plain names only.
    import _msgspec_core

    sys.modules[f"{__name__}._core"] = _msgspec_core

from ._core import (
    NODEFAULT,
    UNSET,
    DecodeError,
    EncodeError,
    Meta,
    MsgspecError,
    Raw,
    Struct,
    StructMeta,
    UnsetType,
    ValidationError,
    convert,
    defstruct,
    to_builtins,
)
from ._core import Field as _Field


def field(*, default=NODEFAULT, default_factory=NODEFAULT, name=None):
    """Describe one field of a struct, as the library's own function does."""
    return _Field(default=default, default_factory=default_factory, name=name)


from . import json, msgpack, structs

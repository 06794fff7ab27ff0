# ruff: noqa: INP001 (laid over the interpreter's own module in the sealed program)
"""The identity function that `typing` asks for where the interpreter has no C one built in."""


def _idfunc(value: object) -> object:
    return value

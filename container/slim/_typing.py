"""The identity function that `typing` asks for where the interpreter has no C one built in."""


def _idfunc(value):
    return value

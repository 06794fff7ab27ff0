"""Hostile input for everything that parses what a box or an airlock wrote.

    python -m ironclaw.testing.fuzz --inputs 100000     throw that many, as CI does
    python -m ironclaw.testing.fuzz --minutes 30        look for inputs that reach new code

`dice` makes every choice from a seed. `msgpack`, `pages`, `btree`, `crafted` and `rows` know the
formats and break them at one level each; `targets` has the entry points and what each may do;
`supervise` runs them in a process of their own, so that a crash or a hang of the C code beneath is
a finding and not the end; `guided` keeps what reaches new lines, `corpus` stores it.

Atheris was considered: its coverage stops at the binding, because the wheels of SQLite and msgspec
are not instrumented. Here SQLite's own log says where in its source it gave up, and that counts.
"""

"""The store: one encrypted SQLite file, its migrations, and what is kept in it.

`connection` (open, check) -> `engine` (one writer with group commit, readers) -> `config_rows`,
`session_rows` (together the `registry`), `ledger` (every message), `chatlog` (reading for people),
`key_rows` (sealed session keys). Content is sealed once more with its session's key: `content`.
"""

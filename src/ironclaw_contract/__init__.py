"""The seam between host and sandbox: what may cross the wall, and nothing else.

Both sides import this package and neither imports the other. It holds the record and frame types,
their limits, the closed table of codes, and the sealed segment format. It depends on the standard
library, msgspec and the SQLite binding only; it opens no sockets and starts no processes.

`limits` -> `codes` -> `entries` -> (`records`, `rpc`) -> `frames`; `keys` -> `chain` -> `segment`.
"""

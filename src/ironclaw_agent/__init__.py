"""`/sandbox`: the agent program. Everything it reads is the contract; everything it says is too.

`main` binds the slot and runs `link`, which carries out the commands of `loop` (pure): `segments`
are the queue, `pipe` the sockets, `tools` the hands, `context` decides what the model sees.

Start-up is a budget here: an import inside the sandbox costs several times what it costs outside,
so this package takes low-level modules of the standard library and no more of them than it must.
"""

"""The confined process between a box and the core, and the core's typed link to it.

Core side: `link` (wall.AirlockLink), `starter` (wall.Airlocks). Confined side: `zygote` forks
`process`, which is `confine`d with what it has `opened`, and then serves `bell`, `model`, `tools`
(both of them `served`) and the two `queue`s. Both sides speak `messages`. The confined side imports
no asyncio and no logging: it tells the core instead.
"""

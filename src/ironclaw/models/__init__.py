"""Models: one service in front of all providers. The box speaks to it and to nothing else.

`service` is what the core calls: it picks the agent's provider from the registry and adds
deadlines, retries, the concurrency cap and safe words. `scripted` is the offline provider; every
other one implements the same `Provider` protocol.
"""

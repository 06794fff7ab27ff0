"""The model host: the one process that holds provider keys and speaks to providers.

core:   provider -> starter -> link ═╗  a socketpair, `messages`
host:                     process  ◄═╝ -> keys, table, translate, faults -> the provider

The core imports `provider`, `starter`, `link` and `messages` only: the libraries of the providers
are never loaded there. ADR-0015 says why.
"""

"""The HTTP API under /v1: an edge; it decides nothing."""

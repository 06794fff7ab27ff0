"""The HTTP API: one table of endpoints, a thin gate in front, problem+json behind."""

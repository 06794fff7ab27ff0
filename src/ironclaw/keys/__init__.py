"""Master key sources and the custodian of per-session keys."""

"""The gateway: the only way in which anything about an agent changes."""

"""Settings: one TOML file plus environment, closed, with units in the names and no secrets."""

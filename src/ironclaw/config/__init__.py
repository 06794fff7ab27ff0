"""Settings: one TOML file plus environment, closed, with helpful errors."""

"""IronClaw's trusted host side."""

__version__ = "0.1.0"

"""Attacks from an airlock's own place, and airlocks without one control."""

"""Kinds of changes: one module each, put into one table by `table`. Pure."""

"""Adapters to chat platforms; each implements the `Channel` port."""

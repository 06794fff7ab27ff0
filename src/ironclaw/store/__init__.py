"""The encrypted store: migrations, registry, ledger."""

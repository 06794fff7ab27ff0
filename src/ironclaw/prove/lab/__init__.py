"""The laboratory: a network, a probe tree, marks to hunt for."""

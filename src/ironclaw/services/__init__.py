"""Use cases over ports: routing, sessions, slots, delivery."""

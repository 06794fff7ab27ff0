"""The wall: OCI spec, runsc, slots, posture, and the keeper that owns the nest they live in."""

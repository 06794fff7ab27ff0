"""gVisor sandboxes: pure OCI spec, runsc, posture, the keeper and its nest."""

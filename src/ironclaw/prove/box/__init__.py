"""A box that runs the probe, and every way in which it is weakened for a twin."""

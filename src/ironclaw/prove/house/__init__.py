"""A whole house with a greedy agent in it, and houses without one control."""

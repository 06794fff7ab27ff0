"""Attacks from a real box on the queue and the sockets, and airlocks careless of one thing each."""

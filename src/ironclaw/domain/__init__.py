"""Pure decisions and the words of the system: no I/O, no clock, no randomness of its own."""

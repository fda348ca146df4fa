"""Users, and the people that they send for and to. Pure: no clock, no randomness, no I/O."""

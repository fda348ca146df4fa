"""What a payout may become, and what the partner's words mean for it. Pure: no clock, no randomness, no I/O.

commands.py: what may be said to it. states.py: its stages and their table. policy.py: the numbers.
decide.py: what follows.
"""

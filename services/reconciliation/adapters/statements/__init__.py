"""Statements as partners send them, read into the one inner shape."""

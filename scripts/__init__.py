"""Commands that start, prove, measure and break Corridor. Run from the repository root."""

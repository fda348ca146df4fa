"""Workers by their names in the runbooks."""

"""What waits for a person. `reasons`: the table. `queue`: one order of everything. `timeline`: one story. Pure."""

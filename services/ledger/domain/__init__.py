"""What the books are: which accounts there can be (chart), which lines a fact makes (templates), what an entry is."""

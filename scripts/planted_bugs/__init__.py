"""Known bugs, planted one after the other into a copy of the tree: each must turn a test red."""

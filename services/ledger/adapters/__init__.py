"""What the ledger looks at outside of its decisions: its own books, as one snapshot has them."""

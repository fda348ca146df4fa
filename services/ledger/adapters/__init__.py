"""What the ledger looks at outside of its decisions."""

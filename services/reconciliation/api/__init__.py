"""HTTP of reconciliation: runs and issues, and partners' statements."""

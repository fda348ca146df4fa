"""Who the transfer service asks."""

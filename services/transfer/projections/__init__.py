"""What the transfer service knows of others, as read tables of its own."""

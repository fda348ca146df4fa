"""What waits for a person, as read tables: one for each topic of events, and the queue over them."""

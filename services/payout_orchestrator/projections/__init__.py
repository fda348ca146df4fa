"""What is read from events of payouts."""

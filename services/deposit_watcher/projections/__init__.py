"""What is read from events of deposits and from raw arrivals."""

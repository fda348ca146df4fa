"""The other services, asked at once."""

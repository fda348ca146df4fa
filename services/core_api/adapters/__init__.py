"""Passwords, and the services behind the door."""

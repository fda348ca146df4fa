"""What is compared, when it may be judged, and what becomes of a difference."""

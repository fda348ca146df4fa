"""What partners' statements say, whatever format they came in. Pure."""

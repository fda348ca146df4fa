"""What our books say moved at a partner's account against what its statements say: docs/decisions/0029. Pure."""

"""What money on a route means. `commands`: what may be asked. `states`: what can be. `decide`: what follows. Pure."""

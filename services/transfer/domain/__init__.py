"""The life of a transfer. `commands`: what may be asked. `states`: what can be. `decide`: what follows. Pure."""

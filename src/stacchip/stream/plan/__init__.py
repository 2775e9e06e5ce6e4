"""Which chips come, and in what order."""

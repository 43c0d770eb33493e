"""What every upload shares: checks, refusals, whole lists, locks, batch sizes."""

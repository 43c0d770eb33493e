"""What changes: the log of it, and those who are told at once."""

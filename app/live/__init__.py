"""What changes: the log of it, and the subscribers that it is published to."""

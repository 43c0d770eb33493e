"""The change log: positions in it, reading it, and what one process does for all of them."""

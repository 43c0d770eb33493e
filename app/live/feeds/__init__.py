"""The feeds: how each kind of entity is read, seen, matched and published."""

"""Fan-out: from rows of the change log to pages of subscribers. It knows feeds, and no kind of entity."""

"""Who may see what: rules of every table in SQL, and the same rules as sets in memory."""

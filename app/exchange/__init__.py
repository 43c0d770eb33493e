"""Partners, keys and contracts; later authorisation, sessions, tariffs and CDRs: transition tables, one mechanism."""

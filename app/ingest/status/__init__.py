"""Live status of EVSEs and parking spots."""

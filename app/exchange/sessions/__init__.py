"""Charging sessions: from successful authorisation to the authorised stop or the forced disconnect."""

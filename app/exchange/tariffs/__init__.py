"""Tariffs: uploaded by operators, each replaced whole."""

"""Charge points as operators publish them."""

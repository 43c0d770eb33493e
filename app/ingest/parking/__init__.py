"""Parking spots as parking spot operators publish them."""

"""The French register of charge points: static data and live status."""

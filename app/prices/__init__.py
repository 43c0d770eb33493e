"""What a tariff means: the price of a session, and the words for it. Pure functions over `app.records.tariff`."""

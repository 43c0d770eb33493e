"""Charge detail records: the claims of operators, their plausibility, and what EVSPs say to them."""

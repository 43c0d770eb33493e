"""The tables, one file per noun. No relationships: reads compile their joins, writes are sets."""

from app.db.tables.base import metadata
from app.db.tables.budget import budget
from app.db.tables.charge_points import evse, location, operator
from app.db.tables.lists import list_part, listed_evse, listed_parking_spot, upload_list
from app.db.tables.parking import evse_parking_spot, parking_spot
from app.db.tables.partners import api_key, audit_log, contract, partner, partner_role, refusal

__all__ = [
    "api_key",
    "audit_log",
    "budget",
    "contract",
    "evse",
    "evse_parking_spot",
    "list_part",
    "listed_evse",
    "listed_parking_spot",
    "location",
    "metadata",
    "operator",
    "parking_spot",
    "partner",
    "partner_role",
    "refusal",
    "upload_list",
]

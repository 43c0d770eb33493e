"""The tables, one file per noun. No relationships: reads compile their joins, writes are sets."""

from app.db.tables.authorisations import authorisation, listed_authorisation
from app.db.tables.base import metadata
from app.db.tables.cdrs import cdr, cdr_content, cdr_occupancy
from app.db.tables.charge_points import evse, location, operator
from app.db.tables.installed_sql import installed_sql
from app.db.tables.lists import list_part, listed_evse, listed_parking_spot, upload_list
from app.db.tables.live import evse_status, parking_status, status_expiry, status_history
from app.db.tables.log import change, log_mark, log_state
from app.db.tables.parking import evse_parking_spot, parking_place, parking_spot
from app.db.tables.partners import api_key, audit_log, contract, partner, partner_role, refusal
from app.db.tables.sessions import authorisation_answer, authorisation_request, session
from app.db.tables.tariffs import individual_tariff, tariff, tariff_recipient
from app.db.tables.viewer_scope import viewer_scope, viewer_scope_due
from app.db.tables.workflow import workflow_chain, workflow_history

__all__ = [
    "api_key",
    "audit_log",
    "authorisation",
    "authorisation_answer",
    "authorisation_request",
    "cdr",
    "cdr_content",
    "cdr_occupancy",
    "change",
    "contract",
    "evse",
    "evse_parking_spot",
    "evse_status",
    "individual_tariff",
    "installed_sql",
    "list_part",
    "listed_authorisation",
    "listed_evse",
    "listed_parking_spot",
    "location",
    "log_mark",
    "log_state",
    "metadata",
    "operator",
    "parking_place",
    "parking_spot",
    "parking_status",
    "partner",
    "partner_role",
    "refusal",
    "session",
    "status_expiry",
    "status_history",
    "tariff",
    "tariff_recipient",
    "upload_list",
    "viewer_scope",
    "viewer_scope_due",
    "workflow_chain",
    "workflow_history",
]

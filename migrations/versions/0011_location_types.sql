-- EVSEs at places of a kind that is rare are found wherever the next one may stand.

create index evse_location_type_idx on evse (location_type);

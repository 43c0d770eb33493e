-- What few EVSEs have is found by an index, wherever the next one may stand.

create index evse_connector_standards_idx on evse using gin (connector_standards) with (fastupdate = off);
create index evse_maximum_power_kw_idx on evse (maximum_power_kw);

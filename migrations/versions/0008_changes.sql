-- What a viewer saw before is what it sees now with the later rows about its sight turned back.
create index change_sight_idx on change (transaction, id) where kind = 'SIGHT';

-- What was there when somebody went out of sight, and is not now, stands in the first row about it since.
create index change_static_idx on change (kind, entity_id, transaction, id) where kind in ('EVSE', 'PARKING_SPOT');

grant select on operator_sight, parking_sight to {runtime_role};

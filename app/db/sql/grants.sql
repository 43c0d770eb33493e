-- The runtime role owns nothing; functions that run with their owner's rights are for it alone.

grant usage on schema public to {runtime_role};
grant select, insert, update, delete on partner, partner_role, api_key, contract, refusal, operator, location, evse,
    evse_parking_spot, parking_spot, parking_place, upload_list, list_part, listed_evse, listed_parking_spot,
    evse_status, parking_status, status_expiry to {runtime_role};
grant select on alembic_version, log_state, operator_sight, parking_sight to {runtime_role};
grant select, insert on audit_log, workflow_history, status_history, change to {runtime_role};
grant select, insert, update on workflow_chain to {runtime_role};
grant select, insert, delete on log_mark to {runtime_role};

revoke all on function visible_operators(integer), visible_parking_operators(integer),
    operators_of_provider(integer, text), authenticate(bytea), make_partition(regclass, integer, integer),
    drop_partition(regclass, integer, timestamptz), log_epoch(), renew_log(), log_health(), bring_sights(integer[]),
    lock_sights(), sighted_through(integer[]), contractors_of(integer[]), settle_sights(), contract_moves_sights(),
    role_moves_sights(), partner_moves_sights(), operator_moves_sights(), refresh_sights(timestamptz) from public;
grant execute on function visible_operators(integer), visible_parking_operators(integer),
    operators_of_provider(integer, text), authenticate(bytea), make_partition(regclass, integer, integer),
    drop_partition(regclass, integer, timestamptz), log_epoch(), renew_log(), log_health(), refresh_sights(timestamptz)
    to {runtime_role};

-- Uploads are staged in temporary tables.
do $$ begin execute format('grant temporary on database %I to %s', current_database(), '{runtime_role}'); end $$;

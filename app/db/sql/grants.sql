-- The runtime role owns nothing; functions that run with their owner's rights are for it alone.

grant usage on schema public to {runtime_role};
grant select, insert, update, delete on partner, partner_role, api_key, contract, refusal, operator, location, evse,
    evse_parking_spot, parking_spot, parking_place, upload_list, list_part, listed_evse, listed_parking_spot,
    evse_status, parking_status, status_expiry to {runtime_role};
grant select on alembic_version, log_state, viewer_scope, spot_contract to {runtime_role};
grant select, insert on audit_log, workflow_history, status_history, change to {runtime_role};
grant select, insert, update on workflow_chain to {runtime_role};
grant select, insert, delete on log_mark to {runtime_role};

revoke all on function authenticate(bytea), make_partition(regclass, integer, integer),
    drop_partition(regclass, integer, timestamptz), wal_position(), timeline_left_at(bigint), renew_log(), renew_spot_contracts(),
    bring_viewer_scope(integer[]), bring_spot_contracts(integer[], text[]), lock_viewer_scope(), dependent_roles(integer[]), contractors_of(integer[]),
    settle_viewer_scope(), note_viewer_scope(integer[], boolean), contracts_moved(), contracts_updated(), roles_moved(), roles_updated(),
    partners_updated(), operators_inserted(), operators_updated(),
    refresh_viewer_scope(timestamptz), forget_viewer_scope(timestamptz) from public;
grant execute on function authenticate(bytea), make_partition(regclass, integer, integer),
    drop_partition(regclass, integer, timestamptz), wal_position(), timeline_left_at(bigint), renew_log(), renew_spot_contracts(),
    refresh_viewer_scope(timestamptz), forget_viewer_scope(timestamptz) to {runtime_role};

-- Uploads are staged in temporary tables.
do $$ begin execute format('grant temporary on database %I to %s', current_database(), '{runtime_role}'); end $$;

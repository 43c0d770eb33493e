-- Tables. Must equal app/db/tables (tests/db/test_migrations.py compares them).

create unlogged table budget (
    subject TEXT NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    granted DOUBLE PRECISION NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    CONSTRAINT budget_pkey PRIMARY KEY (subject)
)
 WITH (fillfactor = 50);

create table parking_spot (
    parking_id TEXT COLLATE "C" NOT NULL,
    party_id TEXT COLLATE "C" GENERATED ALWAYS AS (substr(parking_id, 1, 5)) STORED NOT NULL,
    own_longitude FLOAT(53),
    own_latitude FLOAT(53),
    longitude FLOAT(53),
    latitude FLOAT(53),
    geog geography(POINT,4326) GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography) STORED,
    restrictions INTEGER DEFAULT 0 NOT NULL,
    floor_level TEXT,
    number TEXT,
    operator_nos INTEGER[] DEFAULT '{}' NOT NULL,
    content_hash BYTEA,
    updated_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT parking_spot_pkey PRIMARY KEY (parking_id),
    CONSTRAINT parking_spot_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT parking_spot_restrictions_check CHECK (restrictions >= 0 and restrictions < 64),
    CONSTRAINT parking_spot_whole_position_check CHECK ((longitude is null) = (latitude is null)),
    CONSTRAINT parking_spot_own_position_check CHECK ((own_longitude is null) = (own_latitude is null) and (own_longitude is null or (longitude = own_longitude and latitude = own_latitude))),
    CONSTRAINT parking_spot_known_check CHECK (content_hash is not null or cardinality(operator_nos) > 0),
    CONSTRAINT parking_spot_published_check CHECK ((updated_at is null) = (content_hash is null))
);

CREATE INDEX parking_spot_geog_idx ON parking_spot USING gist (geog);

CREATE INDEX parking_spot_lonlat_idx ON parking_spot USING gist ((geog::geometry));

CREATE INDEX parking_spot_party_id_idx ON parking_spot (party_id);

create table partner (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    name TEXT NOT NULL,
    suspended_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_upload_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT partner_pkey PRIMARY KEY (id),
    CONSTRAINT partner_name_check CHECK (length(trim(name)) between 1 and 200)
);

create table partner_role (
    id INTEGER GENERATED ALWAYS AS IDENTITY,
    partner_id UUID NOT NULL,
    role TEXT NOT NULL,
    party_id TEXT COLLATE "C",
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT partner_role_pkey PRIMARY KEY (id),
    CONSTRAINT partner_role_role_check CHECK (role in ('EVSP', 'EVSE_OPERATOR', 'NSP', 'PSO', 'ADMINISTRATOR')),
    CONSTRAINT partner_role_party_id_check CHECK (party_id ~ '^[A-Z]{2}[A-Z0-9]{3}$'),
    CONSTRAINT partner_role_party_id_of_role_check CHECK ((party_id is null) = (role in ('NSP', 'ADMINISTRATOR'))),
    CONSTRAINT partner_role_id_partner_id_key UNIQUE (id, partner_id),
    CONSTRAINT partner_role_partner_id_fkey FOREIGN KEY(partner_id) REFERENCES partner (id)
);

CREATE UNIQUE INDEX partner_role_once_key ON partner_role (partner_id, role, party_id) NULLS NOT DISTINCT WHERE revoked_at is null;

CREATE UNIQUE INDEX partner_role_party_key ON partner_role (role, party_id) WHERE revoked_at is null;

create table refusal (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    partner_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    operation TEXT NOT NULL,
    path TEXT NOT NULL,
    index INTEGER NOT NULL,
    item_id TEXT,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    CONSTRAINT refusal_pkey PRIMARY KEY (id),
    CONSTRAINT refusal_partner_id_fkey FOREIGN KEY(partner_id) REFERENCES partner (id)
);

CREATE INDEX refusal_partner_id_id_idx ON refusal (partner_id, id);

create table api_key (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    role_id INTEGER NOT NULL,
    partner_id UUID NOT NULL,
    prefix TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_key_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_role_id_partner_id_fkey FOREIGN KEY(role_id, partner_id) REFERENCES partner_role (id, partner_id),
    CONSTRAINT api_key_secret_hash_key UNIQUE (secret_hash)
);

CREATE INDEX api_key_partner_id_idx ON api_key (partner_id);

CREATE INDEX api_key_role_id_idx ON api_key (role_id);

create table audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_role_id INTEGER,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    details JSON NOT NULL,
    partner_ids UUID[] NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT audit_log_actor_role_id_fkey FOREIGN KEY(actor_role_id) REFERENCES partner_role (id)
);

CREATE INDEX audit_log_at_idx ON audit_log (at);

CREATE INDEX audit_log_partner_ids_idx ON audit_log USING gin (partner_ids);

create table contract (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    first_role_id INTEGER NOT NULL,
    first_partner_id UUID NOT NULL,
    second_role_id INTEGER NOT NULL,
    second_partner_id UUID NOT NULL,
    proposed_by_role_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    suspended_by_role_id INTEGER,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT contract_pkey PRIMARY KEY (id),
    CONSTRAINT contract_status_check CHECK (status in ('PROPOSED', 'DECLINED', 'ACTIVE', 'SUSPENDED', 'ENDED')),
    CONSTRAINT contract_pair_check CHECK (first_role_id < second_role_id),
    CONSTRAINT contract_proposed_by_check CHECK (proposed_by_role_id in (first_role_id, second_role_id)),
    CONSTRAINT contract_suspended_by_check CHECK (suspended_by_role_id is null or (status = 'SUSPENDED' and suspended_by_role_id in (first_role_id, second_role_id))),
    CONSTRAINT contract_validity_check CHECK (valid_until >= valid_from),
    CONSTRAINT contract_first_role_id_first_partner_id_fkey FOREIGN KEY(first_role_id, first_partner_id) REFERENCES partner_role (id, partner_id),
    CONSTRAINT contract_second_role_id_second_partner_id_fkey FOREIGN KEY(second_role_id, second_partner_id) REFERENCES partner_role (id, partner_id)
);

CREATE UNIQUE INDEX contract_open_pair_key ON contract (first_role_id, second_role_id) WHERE status in ('PROPOSED', 'ACTIVE', 'SUSPENDED');

CREATE INDEX contract_partners_idx ON contract (first_partner_id, second_partner_id);

CREATE INDEX contract_second_idx ON contract (second_role_id);

create table operator (
    no INTEGER GENERATED ALWAYS AS IDENTITY,
    party_id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    open BOOLEAN DEFAULT false NOT NULL,
    suspended BOOLEAN DEFAULT false NOT NULL,
    source TEXT,
    licence TEXT,
    role_id INTEGER,
    CONSTRAINT operator_pkey PRIMARY KEY (no),
    CONSTRAINT operator_party_id_check CHECK (party_id ~ '^[A-Z]{2}[A-Z0-9]{3}$'),
    CONSTRAINT operator_party_id_key UNIQUE (party_id),
    CONSTRAINT operator_role_id_key UNIQUE (role_id),
    CONSTRAINT operator_role_id_fkey FOREIGN KEY(role_id) REFERENCES partner_role (id)
);

create table upload_list (
    no INTEGER GENERATED ALWAYS AS IDENTITY,
    partner_id UUID NOT NULL,
    role_id INTEGER NOT NULL,
    operation TEXT NOT NULL,
    list_id TEXT,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT upload_list_pkey PRIMARY KEY (no),
    CONSTRAINT upload_list_role_id_operation_list_id_key UNIQUE (role_id, operation, list_id),
    CONSTRAINT upload_list_partner_id_fkey FOREIGN KEY(partner_id) REFERENCES partner (id),
    CONSTRAINT upload_list_role_id_fkey FOREIGN KEY(role_id) REFERENCES partner_role (id)
);

CREATE INDEX upload_list_partner_id_idx ON upload_list (partner_id);

create table list_part (
    list_no INTEGER NOT NULL,
    number INTEGER NOT NULL,
    last BOOLEAN NOT NULL,
    items INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    kept_ids TEXT[] NOT NULL,
    CONSTRAINT list_part_pkey PRIMARY KEY (list_no, number),
    CONSTRAINT list_part_list_no_fkey FOREIGN KEY(list_no) REFERENCES upload_list (no) ON DELETE CASCADE
);

create table location (
    operator_no INTEGER NOT NULL,
    location_id TEXT COLLATE "C" NOT NULL,
    longitude FLOAT(53) NOT NULL,
    latitude FLOAT(53) NOT NULL,
    geog geography(POINT,4326) GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography) STORED NOT NULL,
    house_number TEXT,
    address TEXT NOT NULL,
    city TEXT,
    zip_code TEXT,
    country TEXT NOT NULL,
    location_name TEXT NOT NULL,
    location_name_language TEXT NOT NULL,
    location_type TEXT NOT NULL,
    related_locations JSON DEFAULT '[]' NOT NULL,
    time_zone TEXT,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT location_pkey PRIMARY KEY (operator_no, location_id),
    CONSTRAINT location_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT location_location_type_check CHECK (location_type in ('ON_STREET', 'PARKING_GARAGE', 'UNDERGROUND_GARAGE', 'PARKING_LOT', 'PRIVATE', 'OTHER', 'UNKNOWN')),
    CONSTRAINT location_operator_no_fkey FOREIGN KEY(operator_no) REFERENCES operator (no)
);

CREATE INDEX location_geog_idx ON location USING gist (geog);

CREATE INDEX location_lonlat_idx ON location USING gist ((geog::geometry));

create table evse (
    evse_id TEXT COLLATE "C" NOT NULL,
    evse_id_as_sent TEXT NOT NULL,
    operator_no INTEGER NOT NULL,
    location_id TEXT COLLATE "C" NOT NULL,
    longitude FLOAT(53) NOT NULL,
    latitude FLOAT(53) NOT NULL,
    geog geography(POINT,4326) GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography) STORED NOT NULL,
    house_number TEXT,
    address TEXT NOT NULL,
    city TEXT,
    zip_code TEXT,
    country TEXT NOT NULL,
    location_name TEXT NOT NULL,
    location_name_language TEXT NOT NULL,
    location_type TEXT NOT NULL,
    related_locations JSON DEFAULT '[]' NOT NULL,
    time_zone TEXT,
    timestamp TIMESTAMP WITH TIME ZONE,
    opening_times JSON,
    static_status TEXT,
    status_schedule JSON DEFAULT '[]' NOT NULL,
    clock_zone TEXT,
    regular_minutes INT4MULTIRANGE,
    exceptional_openings TSTZMULTIRANGE DEFAULT '{}' NOT NULL,
    exceptional_closings TSTZMULTIRANGE DEFAULT '{}' NOT NULL,
    operative_at TSTZMULTIRANGE DEFAULT '{(,)}' NOT NULL,
    telephone_number TEXT,
    restrictions INTEGER DEFAULT 0 NOT NULL,
    auth_methods INTEGER DEFAULT 0 NOT NULL,
    charge_point_type TEXT NOT NULL,
    connector_mask BIGINT NOT NULL,
    connector_standards TEXT[] NOT NULL,
    connector_formats TEXT[] NOT NULL,
    connector_tariff_ids TEXT[] NOT NULL,
    maximum_power_kw FLOAT(53),
    guaranteed_power_kw FLOAT(53),
    nominal_voltage_v INTEGER,
    parking_ids TEXT[] DEFAULT '{}' NOT NULL,
    parking_restrictions INTEGER[] DEFAULT '{}' NOT NULL,
    parking_floor_levels TEXT[] DEFAULT '{}' NOT NULL,
    parking_numbers TEXT[] DEFAULT '{}' NOT NULL,
    images JSON DEFAULT '[]' NOT NULL,
    related_resources JSON DEFAULT '[]' NOT NULL,
    user_interface_languages TEXT[] DEFAULT '{}' NOT NULL,
    max_reservation_minutes INTEGER,
    source TEXT,
    content_hash BYTEA NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT evse_pkey PRIMARY KEY (evse_id),
    CONSTRAINT evse_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT evse_location_type_check CHECK (location_type in ('ON_STREET', 'PARKING_GARAGE', 'UNDERGROUND_GARAGE', 'PARKING_LOT', 'PRIVATE', 'OTHER', 'UNKNOWN')),
    CONSTRAINT evse_operator_no_location_id_fkey FOREIGN KEY(operator_no, location_id) REFERENCES location (operator_no, location_id),
    CONSTRAINT evse_static_status_check CHECK (static_status in ('UNKNOWN', 'OPERATIVE', 'INOPERATIVE', 'PLANNED', 'CLOSED')),
    CONSTRAINT evse_charge_point_type_check CHECK (charge_point_type in ('AC', 'DC')),
    CONSTRAINT evse_connector_standards_check CHECK (connector_standards <@ array['CHADEMO', 'IEC_62196_T1', 'IEC_62196_T1_COMBO', 'IEC_62196_T2', 'IEC_62196_T2_COMBO', 'IEC_62196_T3A', 'IEC_62196_T3C', 'DOMESTIC_A', 'DOMESTIC_B', 'DOMESTIC_C', 'DOMESTIC_D', 'DOMESTIC_E', 'DOMESTIC_F', 'DOMESTIC_G', 'DOMESTIC_H', 'DOMESTIC_I', 'DOMESTIC_J', 'DOMESTIC_K', 'DOMESTIC_L', 'TESLA_R', 'TESLA_S', 'IEC_60309_2_single_16', 'IEC_60309_2_three_16', 'IEC_60309_2_three_32', 'IEC_60309_2_three_64']),
    CONSTRAINT evse_connector_formats_check CHECK (connector_formats <@ array['SOCKET', 'CABLE']),
    CONSTRAINT evse_restrictions_check CHECK (restrictions >= 0 and restrictions < 64),
    CONSTRAINT evse_auth_methods_check CHECK (auth_methods >= 0 and auth_methods < 2048),
    CONSTRAINT evse_connectors_check CHECK (cardinality(connector_standards) > 0 and cardinality(connector_formats) = cardinality(connector_standards) and cardinality(connector_tariff_ids) = cardinality(connector_standards)),
    CONSTRAINT evse_parking_spots_check CHECK (cardinality(parking_restrictions) = cardinality(parking_ids) and cardinality(parking_floor_levels) = cardinality(parking_ids) and cardinality(parking_numbers) = cardinality(parking_ids)),
    CONSTRAINT evse_ratings_check CHECK (maximum_power_kw is not null or (guaranteed_power_kw is null and nominal_voltage_v is null))
);

CREATE INDEX evse_geog_idx ON evse USING gist (geog);

CREATE INDEX evse_lonlat_idx ON evse USING gist ((geog::geometry));

CREATE INDEX evse_operator_no_location_id_idx ON evse (operator_no, location_id);

create table listed_evse (
    list_no INTEGER NOT NULL,
    part INTEGER NOT NULL,
    place INTEGER NOT NULL,
    evse_id TEXT COLLATE "C" NOT NULL,
    evse_id_as_sent TEXT NOT NULL,
    operator_no INTEGER NOT NULL,
    location_id TEXT COLLATE "C" NOT NULL,
    longitude FLOAT(53) NOT NULL,
    latitude FLOAT(53) NOT NULL,
    house_number TEXT,
    address TEXT NOT NULL,
    city TEXT,
    zip_code TEXT,
    country TEXT NOT NULL,
    location_name TEXT NOT NULL,
    location_name_language TEXT NOT NULL,
    location_type TEXT NOT NULL,
    related_locations TEXT NOT NULL,
    time_zone TEXT,
    timestamp TIMESTAMP WITH TIME ZONE,
    opening_times TEXT,
    static_status TEXT,
    status_schedule TEXT NOT NULL,
    clock_zone TEXT,
    regular_minutes INT4MULTIRANGE,
    exceptional_openings TSTZMULTIRANGE NOT NULL,
    exceptional_closings TSTZMULTIRANGE NOT NULL,
    operative_at TSTZMULTIRANGE NOT NULL,
    telephone_number TEXT,
    restrictions INTEGER NOT NULL,
    auth_methods INTEGER NOT NULL,
    charge_point_type TEXT NOT NULL,
    connector_mask BIGINT NOT NULL,
    connector_standards TEXT[] NOT NULL,
    connector_formats TEXT[] NOT NULL,
    connector_tariff_ids TEXT[] NOT NULL,
    maximum_power_kw FLOAT(53),
    guaranteed_power_kw FLOAT(53),
    nominal_voltage_v INTEGER,
    parking_ids TEXT[] NOT NULL,
    parking_restrictions INTEGER[] NOT NULL,
    parking_floor_levels TEXT[] NOT NULL,
    parking_numbers TEXT[] NOT NULL,
    images TEXT NOT NULL,
    related_resources TEXT NOT NULL,
    user_interface_languages TEXT[] NOT NULL,
    max_reservation_minutes INTEGER,
    source TEXT,
    content_hash BYTEA NOT NULL,
    CONSTRAINT listed_evse_pkey PRIMARY KEY (list_no, part, place),
    CONSTRAINT listed_evse_list_no_part_fkey FOREIGN KEY(list_no, part) REFERENCES list_part (list_no, number) ON DELETE CASCADE
);

create table listed_parking_spot (
    list_no INTEGER NOT NULL,
    part INTEGER NOT NULL,
    place INTEGER NOT NULL,
    parking_id TEXT COLLATE "C" NOT NULL,
    own_longitude FLOAT(53),
    own_latitude FLOAT(53),
    restrictions INTEGER NOT NULL,
    floor_level TEXT,
    number TEXT,
    content_hash BYTEA NOT NULL,
    CONSTRAINT listed_parking_spot_pkey PRIMARY KEY (list_no, part, place),
    CONSTRAINT listed_parking_spot_list_no_part_fkey FOREIGN KEY(list_no, part) REFERENCES list_part (list_no, number) ON DELETE CASCADE
);

create table evse_parking_spot (
    evse_id TEXT COLLATE "C" NOT NULL,
    parking_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT evse_parking_spot_pkey PRIMARY KEY (evse_id, parking_id),
    CONSTRAINT evse_parking_spot_evse_id_fkey FOREIGN KEY(evse_id) REFERENCES evse (evse_id) ON DELETE CASCADE,
    CONSTRAINT evse_parking_spot_parking_id_fkey FOREIGN KEY(parking_id) REFERENCES parking_spot (parking_id)
);

CREATE INDEX evse_parking_spot_parking_id_idx ON evse_parking_spot (parking_id);

-- Who is asking. Set for the transaction by app.db.engine; empty for strangers.

create function hub_partner() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('hub.partner', true), '')::uuid $$;

create function hub_administrator() returns boolean language sql stable parallel safe
as $$ select coalesce(current_setting('hub.administrator', true), '') = 'on' $$;

-- Contracts in force, seen from each of their two sides. A suspended partner has none.

create view contract_in_force as
select side.from_role_id, side.to_role_id
from contract
cross join lateral (values
    (first_role_id, second_role_id),
    (second_role_id, first_role_id)
) as side (from_role_id, to_role_id)
where status = 'ACTIVE'
and (valid_from is null or valid_from <= now())
and (valid_until is null or valid_until > now())
and not exists (
    select from partner
    where partner.id in (contract.first_partner_id, contract.second_partner_id) and suspended_at is not null
);

-- The operators a role may see: open ones, its own, those it has a contract with; an NSP also those that an EVSP it has a
-- contract with has one with; the administrator all. Runs with its owner's rights, because contracts are private.

create function visible_operators(viewer_role_id integer) returns setof integer
language plpgsql stable security definer set search_path = public rows 200
as $$
declare
    viewer text := (select role from partner_role where id = viewer_role_id and revoked_at is null);
begin
    if viewer = 'ADMINISTRATOR' then
        return query select no from operator;
        return;
    end if;
    return query
        select no from operator where open and not suspended
        union
        select no from operator where role_id = viewer_role_id and not suspended
        union
        select operator.no from contract_in_force
        join operator on operator.role_id = contract_in_force.to_role_id
        where contract_in_force.from_role_id = viewer_role_id
        union
        select operator.no from contract_in_force as with_provider
        join partner_role as provider on provider.id = with_provider.to_role_id and provider.role = 'EVSP'
        join contract_in_force as with_operator on with_operator.from_role_id = provider.id
        join operator on operator.role_id = with_operator.to_role_id
        where with_provider.from_role_id = viewer_role_id and viewer = 'NSP';
end
$$;

-- The parking spot operators, by party id, whose spots a role may see even where it sees no EVSE of them: its own, and
-- those it has a contract with. Runs with its owner's rights, because contracts are private.

create function visible_parking_operators(viewer_role_id integer) returns setof text
language sql stable security definer set search_path = public rows 10
as $$
    select party_id from partner_role where id = viewer_role_id and role = 'PSO' and revoked_at is null
    union
    select held.party_id from contract_in_force
    join partner_role as held on held.id = contract_in_force.to_role_id and held.role = 'PSO' and held.revoked_at is null
    where contract_in_force.from_role_id = viewer_role_id
$$;

-- The operators where customers of a provider can charge, for the provider itself, for who has a contract with it, and for
-- the administrator; for others none, so that nobody can probe who contracts with whom.

create function operators_of_provider(viewer_role_id integer, provider_id text) returns setof integer
language plpgsql stable security definer set search_path = public rows 50
as $$
declare
    provider integer := (
        select id from partner_role where role = 'EVSP' and party_id = provider_id and revoked_at is null
    );
begin
    if viewer_role_id = provider
    or exists (select from contract_in_force where from_role_id = viewer_role_id and to_role_id = provider)
    or exists (select from partner_role where id = viewer_role_id and role = 'ADMINISTRATOR' and revoked_at is null) then
        return query
            select operator.no from contract_in_force
            join operator on operator.role_id = contract_in_force.to_role_id
            where contract_in_force.from_role_id = provider;
    end if;
end
$$;

-- The caller behind a key's hash, if key, role and partner are good now. Runs with its owner's rights: before this answer
-- nobody is asking yet, so no row of api_key is visible.

create function authenticate(hash bytea)
returns table (key_id uuid, role_id integer, partner_id uuid, partner_name text, role text, party_id text)
language sql stable security definer set search_path = public
as $$
    select api_key.id, partner_role.id, partner.id, partner.name, partner_role.role, partner_role.party_id
    from api_key
    join partner_role on partner_role.id = api_key.role_id and partner_role.revoked_at is null
    join partner on partner.id = partner_role.partner_id and partner.suspended_at is null
    where secret_hash = hash and api_key.revoked_at is null
    and (expires_at is null or expires_at > now())
$$;

-- Private tables are protected twice: in the plan of every read, and here, for the runtime role, which owns nothing.

alter table api_key enable row level security;
create policy own on api_key using ((select hub_administrator()) or partner_id = (select hub_partner()));

alter table contract enable row level security;
create policy own on contract using (
    (select hub_administrator()) or (select hub_partner()) in (first_partner_id, second_partner_id)
);

alter table audit_log enable row level security;
create policy own on audit_log for select using (
    (select hub_administrator()) or partner_ids @> array[(select hub_partner())]
);
create policy append on audit_log for insert with check (true);

alter table refusal enable row level security;
create policy own on refusal using ((select hub_administrator()) or partner_id = (select hub_partner()));

revoke all on function visible_operators(integer), visible_parking_operators(integer),
    operators_of_provider(integer, text), authenticate(bytea) from public;

grant usage on schema public to {runtime_role};
grant select, insert, update, delete on partner, partner_role, api_key, contract, refusal, operator, location, evse, budget,
    parking_spot, evse_parking_spot, upload_list, list_part, listed_evse, listed_parking_spot to {runtime_role};
grant select on alembic_version to {runtime_role};
grant select, insert on audit_log to {runtime_role};
grant execute on function visible_operators(integer), visible_parking_operators(integer),
    operators_of_provider(integer, text), authenticate(bytea) to {runtime_role};

-- Uploads are staged in temporary tables.
do $$ begin execute format('grant temporary on database %I to %s', current_database(), '{runtime_role}'); end $$;

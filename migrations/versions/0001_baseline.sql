-- Tables. Must equal app/db/tables (tests/db/test_migrations.py compares them); functions, triggers and views: app/db/sql.

create table change (
    transaction BIGINT DEFAULT (pg_current_xact_id()::text::bigint) NOT NULL,
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    kind TEXT NOT NULL,
    entity_id TEXT COLLATE "C" NOT NULL,
    existed BOOLEAN DEFAULT true NOT NULL,
    operator_nos INTEGER[],
    longitudes DOUBLE PRECISION[],
    latitudes DOUBLE PRECISION[],
    was_available BOOLEAN,
    role_ids INTEGER[],
    recipients TEXT[],
    said_by INTEGER[],
    CONSTRAINT change_kind_check CHECK (kind in ('EVSE', 'EVSE_STATUS', 'PARKING_SPOT', 'PARKING_STATUS', 'TARIFF', 'VIEWER_SCOPE', 'AUTHORISATION', 'AUTHORISATION_REQUEST', 'SESSION', 'CDR'))
)
 PARTITION BY RANGE (at);

CREATE INDEX change_entity_idx ON change (kind, entity_id, id) WHERE kind in ('EVSE', 'PARKING_SPOT', 'TARIFF', 'AUTHORISATION', 'SESSION', 'CDR');

CREATE INDEX change_transaction_id_idx ON change (transaction, id);

create table installed_sql (
    hash TEXT NOT NULL,
    CONSTRAINT installed_sql_pkey PRIMARY KEY (hash)
);

create table log_mark (
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    position TEXT NOT NULL,
    CONSTRAINT log_mark_pkey PRIMARY KEY (at)
);

create table log_state (
    epoch TEXT DEFAULT right(gen_random_uuid()::text, 12) NOT NULL,
    floor BIGINT NOT NULL,
    written_by TEXT NOT NULL,
    key BYTEA DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) NOT NULL,
    CONSTRAINT log_state_pkey PRIMARY KEY (epoch)
);

create table parking_spot (
    parking_id TEXT COLLATE "C" NOT NULL,
    party_id TEXT COLLATE "C" GENERATED ALWAYS AS (substr(parking_id, 1, 5)) STORED NOT NULL,
    longitude FLOAT(53),
    latitude FLOAT(53),
    geog geography(POINT,4326) GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography) STORED,
    restrictions INTEGER DEFAULT 0 NOT NULL,
    floor_level TEXT,
    number TEXT,
    operator_nos INTEGER[] DEFAULT '{}' NOT NULL,
    link_longitudes FLOAT(53)[] DEFAULT '{}' NOT NULL,
    link_latitudes FLOAT(53)[] DEFAULT '{}' NOT NULL,
    contracted_nos INTEGER[] DEFAULT '{}' NOT NULL,
    content_hash BYTEA,
    updated_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT parking_spot_pkey PRIMARY KEY (parking_id),
    CONSTRAINT parking_spot_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT parking_spot_restrictions_check CHECK (restrictions >= 0 and restrictions < 64),
    CONSTRAINT parking_spot_whole_position_check CHECK ((longitude is null) = (latitude is null)),
    CONSTRAINT parking_spot_links_check CHECK (cardinality(link_longitudes) = cardinality(operator_nos) and cardinality(link_latitudes) = cardinality(operator_nos)),
    CONSTRAINT parking_spot_known_check CHECK (content_hash is not null or cardinality(operator_nos) > 0),
    CONSTRAINT parking_spot_published_check CHECK ((updated_at is null) = (content_hash is null)),
    CONSTRAINT parking_spot_own_position_check CHECK (content_hash is not null or longitude is null)
);

CREATE INDEX parking_spot_party_id_idx ON parking_spot (party_id);

create table parking_status (
    parking_id TEXT COLLATE "C" NOT NULL,
    said_by INTEGER NOT NULL,
    status TEXT DEFAULT 'UNKNOWN' NOT NULL,
    ttl TIMESTAMP WITH TIME ZONE,
    at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    due TIMESTAMP WITH TIME ZONE,
    CONSTRAINT parking_status_pkey PRIMARY KEY (parking_id, said_by),
    CONSTRAINT parking_status_status_check CHECK (status in ('AVAILABLE', 'NOT_AVAILABLE', 'UNKNOWN')),
    CONSTRAINT parking_status_said_whole_check CHECK ((at is null) = (expires_at is null) and (at is null) = (updated_at is null))
)
 WITH (fillfactor = 50);

create table partner (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    name TEXT NOT NULL,
    suspended_at TIMESTAMP WITH TIME ZONE,
    last_upload_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT partner_pkey PRIMARY KEY (id),
    CONSTRAINT partner_name_check CHECK (length(trim(name)) between 1 and 200)
);

create table status_expiry (
    due TIMESTAMP WITH TIME ZONE NOT NULL,
    kind TEXT NOT NULL,
    entity_id TEXT COLLATE "C" NOT NULL,
    CONSTRAINT status_expiry_pkey PRIMARY KEY (due, kind, entity_id)
);

create table status_history (
    evse_id TEXT COLLATE "C" NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    major TEXT NOT NULL,
    minor TEXT,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT status_history_major_check CHECK (major in ('AVAILABLE', 'NOT_AVAILABLE', 'UNKNOWN')),
    CONSTRAINT status_history_minor_check CHECK (minor in ('AVAILABLE', 'RESERVED', 'CHARGING', 'BLOCKED', 'OUT_OF_ORDER'))
)
 PARTITION BY RANGE (recorded_at);

CREATE INDEX status_history_evse_id_at_idx ON status_history (evse_id, at);

create table viewer_scope (
    role_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject INTEGER NOT NULL,
    valid_until TIMESTAMP WITH TIME ZONE,
    began BIGINT NOT NULL,
    ended BIGINT,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_snapshot TEXT,
    CONSTRAINT viewer_scope_kind_check CHECK (kind in ('OPERATOR', 'PSO', 'EVSP')),
    CONSTRAINT viewer_scope_ended_check CHECK ((ended is null) = (ended_at is null))
);

CREATE INDEX viewer_scope_ended_idx ON viewer_scope (role_id, ended) WHERE ended is not null;

CREATE UNIQUE INDEX viewer_scope_present_key ON viewer_scope (role_id, kind, subject) WHERE ended is null;

create unlogged table viewer_scope_due (
    role_ids INTEGER[] NOT NULL,
    wide BOOLEAN NOT NULL
);

create table workflow_chain (
    first_partner_id UUID NOT NULL,
    second_partner_id UUID NOT NULL,
    length BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT workflow_chain_pkey PRIMARY KEY (first_partner_id, second_partner_id),
    CONSTRAINT workflow_chain_pair_check CHECK (first_partner_id <= second_partner_id)
);

create table workflow_history (
    first_partner_id UUID NOT NULL,
    second_partner_id UUID NOT NULL,
    no BIGINT NOT NULL,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    first_role_id INTEGER NOT NULL,
    second_role_id INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor_role_id INTEGER,
    command TEXT NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    reason TEXT,
    content_hash BYTEA,
    prev_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT workflow_history_pkey PRIMARY KEY (first_partner_id, second_partner_id, no)
);

CREATE INDEX workflow_history_subject_id_subject_idx ON workflow_history (subject_id, subject);

create table parking_place (
    parking_id TEXT COLLATE "C" NOT NULL,
    place_no SMALLINT NOT NULL,
    party_id TEXT COLLATE "C" GENERATED ALWAYS AS (substr(parking_id, 1, 5)) STORED NOT NULL,
    own BOOLEAN NOT NULL,
    operator_nos INTEGER[] NOT NULL,
    longitude FLOAT(53) NOT NULL,
    latitude FLOAT(53) NOT NULL,
    geog geography(POINT,4326) GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography) STORED NOT NULL,
    CONSTRAINT parking_place_pkey PRIMARY KEY (parking_id, place_no),
    CONSTRAINT parking_place_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT parking_place_parking_id_fkey FOREIGN KEY(parking_id) REFERENCES parking_spot (parking_id) ON DELETE CASCADE
);

CREATE INDEX parking_place_geog_idx ON parking_place USING gist (geog);

CREATE INDEX parking_place_lonlat_idx ON parking_place USING gist ((geog::geometry));

CREATE INDEX parking_place_party_id_idx ON parking_place (party_id);

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
    list_id TEXT NOT NULL,
    begun_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    report JSONB,
    CONSTRAINT upload_list_pkey PRIMARY KEY (no),
    CONSTRAINT upload_list_finished_check CHECK ((finished_at is null) = (report is null)),
    CONSTRAINT upload_list_role_id_operation_list_id_key UNIQUE (role_id, operation, list_id),
    CONSTRAINT upload_list_partner_id_fkey FOREIGN KEY(partner_id) REFERENCES partner (id),
    CONSTRAINT upload_list_role_id_fkey FOREIGN KEY(role_id) REFERENCES partner_role (id)
);

CREATE INDEX upload_list_partner_id_idx ON upload_list (partner_id);

create table list_part (
    no INTEGER GENERATED ALWAYS AS IDENTITY,
    list_no INTEGER NOT NULL,
    number INTEGER NOT NULL,
    last BOOLEAN NOT NULL,
    content_hash BYTEA NOT NULL,
    items INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    refusals JSONB NOT NULL,
    kept_ids TEXT[] NOT NULL,
    staged BOOLEAN DEFAULT true NOT NULL,
    CONSTRAINT list_part_pkey PRIMARY KEY (no),
    CONSTRAINT list_part_list_no_number_key UNIQUE (list_no, number),
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

CREATE INDEX evse_connector_standards_idx ON evse USING gin (connector_standards) WITH (fastupdate = false);

CREATE INDEX evse_geog_idx ON evse USING gist (geog);

CREATE INDEX evse_location_type_idx ON evse (location_type);

CREATE INDEX evse_lonlat_idx ON evse USING gist ((geog::geometry));

CREATE INDEX evse_maximum_power_kw_idx ON evse (maximum_power_kw);

CREATE INDEX evse_operator_no_location_id_idx ON evse (operator_no, location_id);

create table listed_evse (
    part_no INTEGER NOT NULL,
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
    CONSTRAINT listed_evse_pkey PRIMARY KEY (part_no, place),
    CONSTRAINT listed_evse_part_no_fkey FOREIGN KEY(part_no) REFERENCES list_part (no) ON DELETE CASCADE
);

create table listed_parking_spot (
    part_no INTEGER NOT NULL,
    place INTEGER NOT NULL,
    parking_id TEXT COLLATE "C" NOT NULL,
    longitude FLOAT(53),
    latitude FLOAT(53),
    restrictions INTEGER NOT NULL,
    floor_level TEXT,
    number TEXT,
    content_hash BYTEA NOT NULL,
    CONSTRAINT listed_parking_spot_pkey PRIMARY KEY (part_no, place),
    CONSTRAINT listed_parking_spot_part_no_fkey FOREIGN KEY(part_no) REFERENCES list_part (no) ON DELETE CASCADE
);

create table evse_parking_spot (
    evse_id TEXT COLLATE "C" NOT NULL,
    parking_id TEXT COLLATE "C" NOT NULL,
    operator_no INTEGER NOT NULL,
    contracted BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT evse_parking_spot_pkey PRIMARY KEY (evse_id, parking_id),
    CONSTRAINT evse_parking_spot_evse_id_fkey FOREIGN KEY(evse_id) REFERENCES evse (evse_id) ON DELETE CASCADE,
    CONSTRAINT evse_parking_spot_parking_id_fkey FOREIGN KEY(parking_id) REFERENCES parking_spot (parking_id)
);

CREATE INDEX evse_parking_spot_parking_id_idx ON evse_parking_spot (parking_id);

create table evse_status (
    evse_id TEXT COLLATE "C" NOT NULL,
    major TEXT DEFAULT 'UNKNOWN' NOT NULL,
    minor TEXT,
    ttl TIMESTAMP WITH TIME ZONE,
    at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    due TIMESTAMP WITH TIME ZONE,
    blocked_until TIMESTAMP WITH TIME ZONE,
    has_session BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT evse_status_pkey PRIMARY KEY (evse_id),
    CONSTRAINT evse_status_major_check CHECK (major in ('AVAILABLE', 'NOT_AVAILABLE', 'UNKNOWN')),
    CONSTRAINT evse_status_minor_check CHECK (minor in ('AVAILABLE', 'RESERVED', 'CHARGING', 'BLOCKED', 'OUT_OF_ORDER')),
    CONSTRAINT evse_status_allowed_pair_check CHECK (case major when 'UNKNOWN' then minor is null when 'AVAILABLE' then minor is null or minor in ('AVAILABLE', 'RESERVED') else minor is null or minor <> 'AVAILABLE' end),
    CONSTRAINT evse_status_said_whole_check CHECK ((at is null) = (expires_at is null) and (at is null) = (updated_at is null)),
    CONSTRAINT evse_status_evse_id_fkey FOREIGN KEY(evse_id) REFERENCES evse (evse_id) ON DELETE CASCADE
)
 WITH (fillfactor = 50);

create table authorisation (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    provider_role_id INTEGER NOT NULL,
    token_key TEXT COLLATE "C" NOT NULL,
    token_key_160 TEXT COLLATE "C",
    token_type TEXT NOT NULL,
    token_sub_type TEXT,
    representation TEXT NOT NULL,
    instance TEXT NOT NULL,
    contract_id TEXT COLLATE "C",
    printed_number TEXT,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expired BOOLEAN DEFAULT false NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    content_hash BYTEA NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT authorisation_pkey PRIMARY KEY (id),
    CONSTRAINT authorisation_token_type_check CHECK (token_type in ('RFID', 'REMOTE', 'ISO_15118')),
    CONSTRAINT authorisation_token_sub_type_check CHECK (token_sub_type in ('MIFARE_CLS', 'MIFARE_DES', 'CALYPSO')),
    CONSTRAINT authorisation_representation_check CHECK (representation in ('PLAIN', 'SHA_160', 'SHA_256')),
    CONSTRAINT authorisation_never_remote_check CHECK (token_type <> 'REMOTE'),
    CONSTRAINT authorisation_removed_check CHECK ((contract_id is null) = (removed_at is not null)),
    CONSTRAINT authorisation_token_key_provider_role_id_key UNIQUE (token_key, provider_role_id),
    CONSTRAINT authorisation_provider_role_id_fkey FOREIGN KEY(provider_role_id) REFERENCES partner_role (id)
);

CREATE INDEX authorisation_contract_id_idx ON authorisation (contract_id) WHERE contract_id is not null;

CREATE INDEX authorisation_expires_at_idx ON authorisation (expires_at) WHERE removed_at is null and not expired;

CREATE INDEX authorisation_printed_number_idx ON authorisation (printed_number) WHERE printed_number is not null;

CREATE INDEX authorisation_provider_role_id_id_idx ON authorisation (provider_role_id, id);

CREATE INDEX authorisation_removed_at_idx ON authorisation (removed_at) WHERE removed_at is not null;

CREATE INDEX authorisation_token_key_160_idx ON authorisation (token_key_160) WHERE token_key_160 is not null;

create table listed_authorisation (
    part_no INTEGER NOT NULL,
    place INTEGER NOT NULL,
    token_key TEXT COLLATE "C" NOT NULL,
    token_key_160 TEXT COLLATE "C",
    token_type TEXT NOT NULL,
    token_sub_type TEXT,
    representation TEXT NOT NULL,
    instance TEXT NOT NULL,
    contract_id TEXT COLLATE "C" NOT NULL,
    printed_number TEXT,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    content_hash BYTEA NOT NULL,
    CONSTRAINT listed_authorisation_pkey PRIMARY KEY (part_no, place),
    CONSTRAINT listed_authorisation_part_no_fkey FOREIGN KEY(part_no) REFERENCES list_part (no) ON DELETE CASCADE
);

create table session (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    operator_role_id INTEGER NOT NULL,
    provider_role_id INTEGER NOT NULL,
    operator_id TEXT COLLATE "C" NOT NULL,
    provider_id TEXT COLLATE "C" NOT NULL,
    evse_id TEXT COLLATE "C",
    contract_id TEXT COLLATE "C",
    token_key TEXT COLLATE "C" NOT NULL,
    token_key_160 TEXT COLLATE "C",
    token_type TEXT NOT NULL,
    token_sub_type TEXT,
    representation TEXT NOT NULL,
    instance TEXT NOT NULL,
    status TEXT NOT NULL,
    authorised_at TIMESTAMP WITH TIME ZONE NOT NULL,
    connected_at TIMESTAMP WITH TIME ZONE,
    energy_started_at TIMESTAMP WITH TIME ZONE,
    energy_ended_at TIMESTAMP WITH TIME ZONE,
    disconnected_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_by TEXT,
    energy_kwh NUMERIC,
    warnings TEXT[] DEFAULT '{}' NOT NULL,
    contradictions TEXT[] DEFAULT '{}' NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (id),
    CONSTRAINT session_token_type_check CHECK (token_type in ('RFID', 'REMOTE', 'ISO_15118')),
    CONSTRAINT session_token_sub_type_check CHECK (token_sub_type in ('MIFARE_CLS', 'MIFARE_DES', 'CALYPSO')),
    CONSTRAINT session_representation_check CHECK (representation in ('PLAIN', 'SHA_160', 'SHA_256')),
    CONSTRAINT session_status_check CHECK (status in ('ACTIVE', 'EXPIRED', 'ENDED')),
    CONSTRAINT session_ended_by_check CHECK (ended_by in ('AUTHORISED_STOP', 'FORCED_DISCONNECT', 'EXPIRED')),
    CONSTRAINT session_warnings_check CHECK (warnings <@ array['NO_CONTRACT_THEN', 'TOKEN_NOT_VALID']),
    CONSTRAINT session_contradictions_check CHECK (contradictions <@ array['EVSE_AVAILABLE', 'SEVERAL_SESSIONS']),
    CONSTRAINT session_ended_check CHECK ((status = 'ACTIVE') = (ended_by is null)),
    CONSTRAINT session_ended_at_check CHECK ((status = 'ACTIVE') = (ended_at is null)),
    CONSTRAINT session_connected_first_check CHECK (connected_at <= energy_started_at),
    CONSTRAINT session_energy_order_check CHECK (energy_started_at <= energy_ended_at),
    CONSTRAINT session_disconnected_last_check CHECK (energy_ended_at <= disconnected_at),
    CONSTRAINT session_connected_before_energy_ended_check CHECK (connected_at <= energy_ended_at),
    CONSTRAINT session_connected_before_disconnected_check CHECK (connected_at <= disconnected_at),
    CONSTRAINT session_energy_before_disconnected_check CHECK (energy_started_at <= disconnected_at),
    CONSTRAINT session_energy_check CHECK (energy_kwh >= 0)
);

CREATE INDEX session_active_idx ON session (evse_id) WHERE status = 'ACTIVE';

CREATE INDEX session_contract_id_idx ON session (contract_id) WHERE contract_id is not null;

CREATE INDEX session_open_since_idx ON session (authorised_at) WHERE status = 'ACTIVE';

CREATE INDEX session_operator_role_id_authorised_at_id_idx ON session (operator_role_id, authorised_at, id);

CREATE INDEX session_provider_role_id_authorised_at_id_idx ON session (provider_role_id, authorised_at, id);

create table authorisation_request (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    operator_role_id INTEGER NOT NULL,
    provider_role_id INTEGER,
    operator_id TEXT COLLATE "C" NOT NULL,
    evse_id TEXT COLLATE "C",
    code TEXT NOT NULL,
    authorisation_id UUID,
    session_id UUID,
    CONSTRAINT authorisation_request_code_check CHECK (code in ('OK', 'PARTLY', 'NOT_AUTHORIZED', 'INVALID_ID', 'SERVER', 'FORMAT', 'ROAMING'))
)
 PARTITION BY RANGE (at);

CREATE INDEX authorisation_request_id_idx ON authorisation_request (id);

CREATE INDEX authorisation_request_operator_role_id_at_id_idx ON authorisation_request (operator_role_id, at, id);

CREATE INDEX authorisation_request_provider_role_id_at_id_idx ON authorisation_request (provider_role_id, at, id);

create table authorisation_answer (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    operator_role_id INTEGER NOT NULL,
    request_id TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    content_hash BYTEA NOT NULL,
    code TEXT,
    description TEXT,
    authorisation_id UUID,
    session_id UUID,
    token_type TEXT,
    token_sub_type TEXT,
    representation TEXT,
    instance TEXT,
    contract_id TEXT COLLATE "C",
    printed_number TEXT,
    expires_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT authorisation_answer_pkey PRIMARY KEY (id),
    CONSTRAINT authorisation_answer_code_check CHECK (code in ('OK', 'PARTLY', 'NOT_AUTHORIZED', 'INVALID_ID', 'SERVER', 'FORMAT', 'ROAMING')),
    CONSTRAINT authorisation_answer_token_type_check CHECK (token_type in ('RFID', 'REMOTE', 'ISO_15118')),
    CONSTRAINT authorisation_answer_token_sub_type_check CHECK (token_sub_type in ('MIFARE_CLS', 'MIFARE_DES', 'CALYPSO')),
    CONSTRAINT authorisation_answer_representation_check CHECK (representation in ('PLAIN', 'SHA_160', 'SHA_256'))
);

CREATE INDEX authorisation_answer_at_idx ON authorisation_answer (at);

CREATE INDEX authorisation_answer_authorisation_id_idx ON authorisation_answer (authorisation_id) WHERE authorisation_id is not null;

CREATE INDEX authorisation_answer_contract_id_idx ON authorisation_answer (contract_id) WHERE contract_id is not null;

CREATE INDEX authorisation_answer_session_id_idx ON authorisation_answer (session_id) WHERE session_id is not null;

CREATE UNIQUE INDEX authorisation_answer_request_key ON authorisation_answer (operator_role_id, request_id);

create table cdr (
    id UUID NOT NULL,
    cdr_id TEXT COLLATE "C" NOT NULL,
    evse_id TEXT COLLATE "C" NOT NULL,
    operator_role_id INTEGER NOT NULL,
    provider_role_id INTEGER NOT NULL,
    operator_id TEXT COLLATE "C" NOT NULL,
    provider_id TEXT COLLATE "C" NOT NULL,
    month DATE NOT NULL,
    status TEXT NOT NULL,
    decline_reason TEXT,
    revision INTEGER NOT NULL,
    content_hash BYTEA NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE NOT NULL,
    currency TEXT NOT NULL,
    total NUMERIC NOT NULL,
    session_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT cdr_pkey PRIMARY KEY (id),
    CONSTRAINT cdr_status_check CHECK (status in ('ACCEPTED', 'DECLINED', 'REVISED', 'REJECTED', 'APPROVED')),
    CONSTRAINT cdr_revision_check CHECK (revision > 0),
    CONSTRAINT cdr_times_check CHECK (started_at < ended_at),
    CONSTRAINT cdr_evse_of_operator_check CHECK (left(evse_id, 5) = operator_id),
    CONSTRAINT cdr_month_check CHECK (extract(day from month) = 1)
);

CREATE UNIQUE INDEX cdr_evse_key ON cdr (cdr_id, evse_id);

CREATE INDEX cdr_operator_idx ON cdr (operator_role_id, status, started_at, id);

CREATE UNIQUE INDEX cdr_own_key ON cdr (cdr_id) WHERE left(cdr_id, 5) = operator_id;

CREATE INDEX cdr_provider_idx ON cdr (provider_role_id, status, started_at, id);

CREATE INDEX cdr_session_id_idx ON cdr (session_id) WHERE session_id is not null;

create table cdr_content (
    month DATE NOT NULL,
    cdr_key UUID NOT NULL,
    revision INTEGER NOT NULL,
    operator_role_id INTEGER NOT NULL,
    provider_role_id INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    content_hash BYTEA NOT NULL,
    token_type TEXT NOT NULL,
    token_sub_type TEXT,
    representation TEXT NOT NULL,
    instance TEXT NOT NULL,
    contract_id TEXT COLLATE "C" NOT NULL,
    start TEXT NOT NULL,
    "end" TEXT NOT NULL,
    duration TEXT,
    house_number TEXT,
    address TEXT NOT NULL,
    city TEXT,
    zip_code TEXT,
    country TEXT NOT NULL,
    charge_point_type TEXT NOT NULL,
    connector_standards TEXT NOT NULL,
    connector_formats TEXT NOT NULL,
    connector_tariff_ids TEXT COLLATE "C",
    ratings JSON,
    meter_id TEXT,
    periods JSON NOT NULL,
    total_cost NUMERIC,
    currency TEXT NOT NULL,
    warnings JSON NOT NULL,
    CONSTRAINT cdr_content_pkey PRIMARY KEY (month, cdr_key, revision),
    CONSTRAINT cdr_content_token_type_check CHECK (token_type in ('RFID', 'REMOTE', 'ISO_15118')),
    CONSTRAINT cdr_content_token_sub_type_check CHECK (token_sub_type in ('MIFARE_CLS', 'MIFARE_DES', 'CALYPSO')),
    CONSTRAINT cdr_content_representation_check CHECK (representation in ('PLAIN', 'SHA_160', 'SHA_256')),
    CONSTRAINT cdr_content_charge_point_type_check CHECK (charge_point_type in ('AC', 'DC')),
    CONSTRAINT cdr_content_connector_standards_check CHECK (connector_standards in ('CHADEMO', 'IEC_62196_T1', 'IEC_62196_T1_COMBO', 'IEC_62196_T2', 'IEC_62196_T2_COMBO', 'IEC_62196_T3A', 'IEC_62196_T3C', 'DOMESTIC_A', 'DOMESTIC_B', 'DOMESTIC_C', 'DOMESTIC_D', 'DOMESTIC_E', 'DOMESTIC_F', 'DOMESTIC_G', 'DOMESTIC_H', 'DOMESTIC_I', 'DOMESTIC_J', 'DOMESTIC_K', 'DOMESTIC_L', 'TESLA_R', 'TESLA_S', 'IEC_60309_2_single_16', 'IEC_60309_2_three_16', 'IEC_60309_2_three_32', 'IEC_60309_2_three_64')),
    CONSTRAINT cdr_content_connector_formats_check CHECK (connector_formats in ('SOCKET', 'CABLE'))
)
 PARTITION BY RANGE (month);

create table cdr_occupancy (
    cdr_key UUID NOT NULL,
    operator_role_id INTEGER NOT NULL,
    evse_id TEXT COLLATE "C" NOT NULL,
    place BIGINT GENERATED ALWAYS AS (hashtextextended(evse_id, 0)) STORED NOT NULL,
    during TSTZRANGE NOT NULL,
    CONSTRAINT cdr_occupancy_pkey PRIMARY KEY (cdr_key),
    CONSTRAINT cdr_occupancy_during_check CHECK (not isempty(during)),
    CONSTRAINT cdr_occupancy_excl EXCLUDE USING gist (place WITH =, during WITH &&)
);

create table tariff (
    tariff_id TEXT COLLATE "C" NOT NULL,
    operator_no INTEGER NOT NULL,
    content_hash BYTEA NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    default_updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT tariff_pkey PRIMARY KEY (tariff_id),
    CONSTRAINT tariff_operator_no_fkey FOREIGN KEY(operator_no) REFERENCES operator (no)
);

CREATE INDEX tariff_operator_no_idx ON tariff (operator_no);

create table individual_tariff (
    tariff_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    operator_no INTEGER NOT NULL,
    currency TEXT NOT NULL,
    elements JSON NOT NULL,
    content_hash BYTEA NOT NULL,
    CONSTRAINT individual_tariff_pkey PRIMARY KEY (tariff_id, number),
    CONSTRAINT individual_tariff_number_check CHECK (number >= 0),
    CONSTRAINT individual_tariff_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT individual_tariff_tariff_id_fkey FOREIGN KEY(tariff_id) REFERENCES tariff (tariff_id) ON DELETE CASCADE
);

create table tariff_recipient (
    tariff_id TEXT COLLATE "C" NOT NULL,
    party_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    operator_no INTEGER NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT tariff_recipient_pkey PRIMARY KEY (tariff_id, party_id),
    CONSTRAINT tariff_recipient_party_id_check CHECK (party_id ~ '^[A-Z]{2}[A-Z0-9]{3}$'),
    CONSTRAINT tariff_recipient_tariff_id_fkey FOREIGN KEY(tariff_id) REFERENCES tariff (tariff_id) ON DELETE CASCADE
);

CREATE INDEX tariff_recipient_tariff_id_number_idx ON tariff_recipient (tariff_id, number);

create table change_default partition of change default;
create table status_history_default partition of status_history default;
create table authorisation_request_default partition of authorisation_request default;
CREATE INDEX cdr_content_contract_id_idx ON cdr_content (contract_id);

create table cdr_content_default partition of cdr_content default;

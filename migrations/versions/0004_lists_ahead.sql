-- A whole list that goes into force is written beside what stands, shown at once, and then written where it belongs.

alter table operator add column ahead boolean default false not null;
create index operator_ahead_idx on operator (no) where ahead;

create table location_ahead (
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
    CONSTRAINT location_ahead_pkey PRIMARY KEY (operator_no, location_id),
    CONSTRAINT location_ahead_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT location_ahead_location_type_check CHECK (location_type in ('ON_STREET', 'PARKING_GARAGE', 'UNDERGROUND_GARAGE', 'PARKING_LOT', 'PRIVATE', 'OTHER', 'UNKNOWN')),
    CONSTRAINT location_ahead_operator_no_fkey FOREIGN KEY(operator_no) REFERENCES operator (no)
);

CREATE INDEX location_ahead_geog_idx ON location_ahead USING gist (geog);

CREATE INDEX location_ahead_lonlat_idx ON location_ahead USING gist ((geog::geometry));

create table evse_ahead (
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
    CONSTRAINT evse_ahead_pkey PRIMARY KEY (evse_id),
    CONSTRAINT evse_ahead_position_check CHECK (longitude between -180 and 180 and latitude between -90 and 90),
    CONSTRAINT evse_ahead_location_type_check CHECK (location_type in ('ON_STREET', 'PARKING_GARAGE', 'UNDERGROUND_GARAGE', 'PARKING_LOT', 'PRIVATE', 'OTHER', 'UNKNOWN')),
    CONSTRAINT evse_ahead_operator_no_location_id_fkey FOREIGN KEY(operator_no, location_id) REFERENCES location_ahead (operator_no, location_id),
    CONSTRAINT evse_ahead_static_status_check CHECK (static_status in ('UNKNOWN', 'OPERATIVE', 'INOPERATIVE', 'PLANNED', 'CLOSED')),
    CONSTRAINT evse_ahead_charge_point_type_check CHECK (charge_point_type in ('AC', 'DC')),
    CONSTRAINT evse_ahead_connector_standards_check CHECK (connector_standards <@ array['CHADEMO', 'IEC_62196_T1', 'IEC_62196_T1_COMBO', 'IEC_62196_T2', 'IEC_62196_T2_COMBO', 'IEC_62196_T3A', 'IEC_62196_T3C', 'DOMESTIC_A', 'DOMESTIC_B', 'DOMESTIC_C', 'DOMESTIC_D', 'DOMESTIC_E', 'DOMESTIC_F', 'DOMESTIC_G', 'DOMESTIC_H', 'DOMESTIC_I', 'DOMESTIC_J', 'DOMESTIC_K', 'DOMESTIC_L', 'TESLA_R', 'TESLA_S', 'IEC_60309_2_single_16', 'IEC_60309_2_three_16', 'IEC_60309_2_three_32', 'IEC_60309_2_three_64']),
    CONSTRAINT evse_ahead_connector_formats_check CHECK (connector_formats <@ array['SOCKET', 'CABLE']),
    CONSTRAINT evse_ahead_restrictions_check CHECK (restrictions >= 0 and restrictions < 64),
    CONSTRAINT evse_ahead_auth_methods_check CHECK (auth_methods >= 0 and auth_methods < 2048),
    CONSTRAINT evse_ahead_connectors_check CHECK (cardinality(connector_standards) > 0 and cardinality(connector_formats) = cardinality(connector_standards) and cardinality(connector_tariff_ids) = cardinality(connector_standards)),
    CONSTRAINT evse_ahead_parking_spots_check CHECK (cardinality(parking_restrictions) = cardinality(parking_ids) and cardinality(parking_floor_levels) = cardinality(parking_ids) and cardinality(parking_numbers) = cardinality(parking_ids)),
    CONSTRAINT evse_ahead_ratings_check CHECK (maximum_power_kw is not null or (guaranteed_power_kw is null and nominal_voltage_v is null))
);

CREATE INDEX evse_ahead_geog_idx ON evse_ahead USING gist (geog);

CREATE INDEX evse_ahead_lonlat_idx ON evse_ahead USING gist ((geog::geometry));

CREATE INDEX evse_ahead_operator_no_location_id_idx ON evse_ahead (operator_no, location_id);

create view shown_location as
select *, false as ahead from location union all select *, true from location_ahead;

create view shown_evse as
select *, false as ahead from evse union all select *, true from evse_ahead;

-- A status is born with its EVSE in either table, and goes with the last of them. A foreign key knows one table only.

alter table evse_status drop constraint evse_status_evse_id_fkey;

create or replace function evse_inserted() returns trigger language plpgsql as $$
begin
    insert into evse_status (evse_id) select evse_id from fresh order by evse_id on conflict do nothing;
    insert into change (kind, entity_id, existed) select 'EVSE', evse_id, false from fresh order by evse_id;
    return null;
end
$$;

create or replace function evse_deleted() returns trigger language plpgsql as $$
begin
    delete from evse_status
    where evse_id in (select evse_id from stale where not exists (select from evse_ahead as a where a.evse_id = stale.evse_id));
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'EVSE', evse_id, array[operator_no], longitude, latitude from stale order by evse_id;
    return null;
end
$$;

create function evse_ahead_inserted() returns trigger language plpgsql as $$
begin
    insert into evse_status (evse_id) select evse_id from fresh order by evse_id on conflict do nothing;
    return null;
end
$$;

create function evse_ahead_deleted() returns trigger language plpgsql as $$
begin
    delete from evse_status
    where evse_id in (select evse_id from stale where not exists (select from evse as e where e.evse_id = stale.evse_id));
    return null;
end
$$;

create trigger bear_status after insert on evse_ahead
    referencing new table as fresh for each statement execute function evse_ahead_inserted();
create trigger end_status after delete on evse_ahead
    referencing old table as stale for each statement execute function evse_ahead_deleted();

grant select, insert, update, delete on location_ahead, evse_ahead to {runtime_role};
grant select on shown_location, shown_evse to {runtime_role};

-- The planner takes a table it knows nothing of for ten pages; these are mostly empty.
analyze location_ahead, evse_ahead;

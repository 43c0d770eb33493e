-- Each row of EVSEs and locations is of a list, and an operator has one list in force: a whole list is written beside what
-- stands, however long it takes, and comes into force with one number.

-- Numbers of operators serve as numbers of their first lists; these come after them.
create sequence list_number;
select setval('list_number', greatest((select max(no) from operator), 1));

alter table operator add column list_no integer;
update operator set list_no = no;
alter table operator alter column list_no set not null, alter column list_no set default nextval('list_number'),
    add constraint operator_list_no_key unique (list_no);

-- A status outlives a change of list.
alter table evse_status drop constraint evse_status_evse_id_fkey;
alter table evse_parking_spot drop constraint evse_parking_spot_evse_id_fkey;
alter table evse drop constraint evse_operator_no_location_id_fkey;

alter table location add column list_no integer;
update location set list_no = operator_no;
alter table location alter column list_no set not null;
alter table location drop constraint location_pkey;
alter table location add constraint location_pkey primary key (list_no, location_id);
create index location_operator_no_location_id_idx on location (operator_no, location_id);

alter table evse disable trigger log_updated;
alter table evse add column list_no integer;
update evse set list_no = operator_no;
alter table evse enable trigger log_updated;
alter table evse alter column list_no set not null;
alter table evse drop constraint evse_pkey;
alter table evse add constraint evse_pkey primary key (evse_id, list_no);
alter table evse add constraint evse_list_no_location_id_fkey
    foreign key (list_no, location_id) references location (list_no, location_id);
drop index evse_operator_no_location_id_idx;
create index evse_list_no_location_id_idx on evse (list_no, location_id);

alter table evse_parking_spot add column list_no integer;
update evse_parking_spot as link set list_no = evse.list_no from evse where evse.evse_id = link.evse_id;
alter table evse_parking_spot alter column list_no set not null;
alter table evse_parking_spot drop constraint evse_parking_spot_pkey;
alter table evse_parking_spot add constraint evse_parking_spot_pkey primary key (evse_id, list_no, parking_id);
alter table evse_parking_spot add constraint evse_parking_spot_evse_id_list_no_fkey
    foreign key (evse_id, list_no) references evse (evse_id, list_no) on delete cascade;


-- What the log tells is of lists in force; what a list changes by coming into force is told by `app.ingest.settle`. A status
-- is born with the first row of its EVSE and goes with the last.

create or replace function evse_inserted() returns trigger language plpgsql as $$
begin
    insert into evse_status (evse_id) select evse_id from fresh order by evse_id on conflict do nothing;
    insert into change (kind, entity_id, existed)
    select 'EVSE', evse_id, false from fresh where list_no in (select list_no from operator) order by evse_id;
    return null;
end
$$;

create or replace function evse_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'EVSE', evse_id, array[stale.operator_no], stale.longitude, stale.latitude
    from fresh join stale using (evse_id, list_no)
    where fresh.content_hash <> stale.content_hash and list_no in (select list_no from operator) order by evse_id;
    return null;
end
$$;

create or replace function evse_deleted() returns trigger language plpgsql as $$
begin
    delete from evse_status
    where evse_id in (select evse_id from stale where not exists (select from evse as e where e.evse_id = stale.evse_id));
    insert into change (kind, entity_id, operator_nos, longitude, latitude)
    select 'EVSE', evse_id, array[operator_no], longitude, latitude from stale
    where list_no in (select list_no from operator) order by evse_id;
    return null;
end
$$;

create or replace function refresh_blocked(evse_ids text[], present timestamptz) returns void
language plpgsql volatile
as $$
begin
    perform from evse_status where evse_id = any(evse_ids) order by evse_id for no key update;
    with wanted as (
        select status.evse_id, status.major, status.expires_at, status.blocked_until, taken.until
        from evse_status as status
        cross join lateral (
            select case when bool_and(spot.status = 'NOT_AVAILABLE' and spot.expires_at > present)
                then min(spot.expires_at) end as until
            from evse_parking_spot as link join parking_status as spot using (parking_id)
            join operator using (list_no)
            where link.evse_id = status.evse_id
        ) as taken
        where status.evse_id = any(evse_ids) and status.blocked_until is distinct from taken.until
    ), written as (
        update evse_status set blocked_until = wanted.until from wanted where evse_status.evse_id = wanted.evse_id
    )
    insert into change (kind, entity_id, was_available)
    select 'EVSE_STATUS', evse_id, until is not null from wanted
    where major = 'AVAILABLE' and expires_at > present
    and ((blocked_until is null) <> (until is null) or blocked_until <= present)
    order by evse_id;
end
$$;

-- Parts of whole lists come in many short transactions. Lists that are on their way now begin anew.

delete from upload_list;
drop table listed_evse, listed_parking_spot, list_part;

create table list_out_of_force (
    list_no SERIAL NOT NULL,
    operator_no INTEGER NOT NULL,
    told_to TEXT COLLATE "C",
    CONSTRAINT list_out_of_force_pkey PRIMARY KEY (list_no),
    CONSTRAINT list_out_of_force_operator_no_fkey FOREIGN KEY(operator_no) REFERENCES operator (no)
);

create table list_part (
    no INTEGER GENERATED ALWAYS AS IDENTITY,
    list_no INTEGER NOT NULL,
    number INTEGER NOT NULL,
    complete BOOLEAN DEFAULT false NOT NULL,
    last BOOLEAN NOT NULL,
    items INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    kept_ids TEXT[] NOT NULL,
    CONSTRAINT list_part_pkey PRIMARY KEY (no),
    CONSTRAINT list_part_list_no_fkey FOREIGN KEY(list_no) REFERENCES upload_list (no) ON DELETE CASCADE
);

CREATE UNIQUE INDEX list_part_complete_key ON list_part (list_no, number) WHERE complete;

CREATE INDEX list_part_list_no_idx ON list_part (list_no);

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
    own_longitude FLOAT(53),
    own_latitude FLOAT(53),
    restrictions INTEGER NOT NULL,
    floor_level TEXT,
    number TEXT,
    content_hash BYTEA NOT NULL,
    CONSTRAINT listed_parking_spot_pkey PRIMARY KEY (part_no, place),
    CONSTRAINT listed_parking_spot_part_no_fkey FOREIGN KEY(part_no) REFERENCES list_part (no) ON DELETE CASCADE
);

grant usage on sequence list_number to {runtime_role};
grant select, insert, update, delete on list_out_of_force, list_part, listed_evse, listed_parking_spot to {runtime_role};

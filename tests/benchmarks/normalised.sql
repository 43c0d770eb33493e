-- The world as an application with an object-relational mapper would keep it: surrogate keys, child tables, foreign keys.

create schema normalised;

create table normalised.operator as
select no as id, party_id, name, open, suspended from operator;
alter table normalised.operator add primary key (id), add unique (party_id);

create table normalised.location as
select
    row_number() over (order by operator_no, location_id)::integer as id, operator_no as operator_id, location_id,
    location_name as name, location_type, time_zone, address as street, city, zip_code, country
from location;
alter table normalised.location
    add primary key (id), add unique (operator_id, location_id),
    add foreign key (operator_id) references normalised.operator;

create table normalised.evse as
select
    row_number() over (order by evse_id)::integer as id, evse_id, evse.operator_no as operator_id,
    location.id as location_id, evse.longitude, evse.latitude, evse.geog, charge_point_type, static_status,
    maximum_power_kw, opening_times, telephone_number, updated_at,
    array(
        select word from unnest({auth_methods}::text[]) with ordinality as method (word, place)
        where auth_methods >> (place::integer - 1) & 1 = 1 order by place
    ) as auth_methods
from evse
join normalised.location on location.operator_id = evse.operator_no and location.location_id = evse.location_id;
alter table normalised.evse
    add primary key (id), add unique (evse_id),
    add foreign key (operator_id) references normalised.operator,
    add foreign key (location_id) references normalised.location;
create index on normalised.evse using gist (geog);
create index on normalised.evse (location_id);

create table normalised.connector as
select
    row_number() over (order by evse.id, place)::integer as id, evse.id as evse_id, standard, format
from normalised.evse
join public.evse as wide using (evse_id)
cross join unnest(connector_standards, connector_formats) with ordinality as connector (standard, format, place);
alter table normalised.connector add primary key (id), add foreign key (evse_id) references normalised.evse;
create index on normalised.connector (evse_id);

grant usage on schema normalised to {runtime_role};
grant select on all tables in schema normalised to {runtime_role};

-- A spot is what its row of status stands for: that is one, lasts as long as anybody speaks of the spot, and is locked by
-- whoever changes the spot or its links. What is said of it may be two rows while a whole list comes into force.

alter table parking_spot rename to parking_spot_version;
alter index parking_spot_geog_idx rename to parking_spot_version_geog_idx;
alter index parking_spot_lonlat_idx rename to parking_spot_version_lonlat_idx;
alter index parking_spot_party_id_idx rename to parking_spot_version_party_id_idx;
alter table parking_spot_version rename constraint parking_spot_position_check to parking_spot_version_position_check;
alter table parking_spot_version
    rename constraint parking_spot_restrictions_check to parking_spot_version_restrictions_check;
alter table parking_spot_version
    rename constraint parking_spot_whole_position_check to parking_spot_version_whole_position_check;
alter table parking_spot_version
    rename constraint parking_spot_own_position_check to parking_spot_version_own_position_check;
alter table parking_spot_version rename constraint parking_spot_known_check to parking_spot_version_known_check;
alter table parking_spot_version rename constraint parking_spot_published_check to parking_spot_version_published_check;
alter table parking_spot_version rename constraint parking_spot_located_check to parking_spot_version_located_check;

alter table parking_status drop constraint parking_status_parking_id_fkey;
alter table evse_parking_spot drop constraint evse_parking_spot_parking_id_fkey;
alter table evse_parking_spot add constraint evse_parking_spot_parking_id_fkey
    foreign key (parking_id) references parking_status (parking_id);

alter table parking_spot_version add column list_no integer default 0 not null, add column until_no integer;
alter table parking_spot_version drop constraint parking_spot_pkey;
alter table parking_spot_version add constraint parking_spot_version_pkey primary key (parking_id, list_no);

-- Lists that are being written, and those in force of which the log is not told to the end. A party has one at a time.

create table spot_list (
    no integer default nextval('list_number') not null,
    party_id text collate "C" not null,
    in_force_at timestamptz,
    told_to text collate "C" default '' not null,
    constraint spot_list_pkey primary key (no),
    constraint spot_list_party_id_key unique (party_id)
);

-- What a list changed happened when it came into force, whenever the log is told.

alter table list_out_of_force add column ended_at timestamptz;
update list_out_of_force set ended_at = now() where told_to is not null;
alter table list_out_of_force add constraint list_out_of_force_ended_check
    check ((ended_at is null) = (told_to is null));

-- The versions in force; there is one of each spot. Inside coalesce the planner takes the condition for what it mostly is, a
-- filter that nearly all pass.

create view parking_spot as
select * from parking_spot_version where coalesce(
    list_no <> all (array(select no from spot_list where in_force_at is null))
    and (until_no is null or until_no = any (array(select no from spot_list where in_force_at is null))),
    false
);

-- What the log tells is of versions in force; what a list changes by coming into force is told by `app.ingest.spot_versions`.
-- A version that ended counts until that is told: a statement that began before may still change it.

create or replace function parking_spot_inserted() returns trigger language plpgsql as $$
begin
    insert into parking_status (parking_id) select parking_id from fresh order by parking_id on conflict do nothing;
    insert into change (kind, entity_id, existed)
    select 'PARKING_SPOT', parking_id, false from fresh
    where list_no <> all (array(select no from spot_list where in_force_at is null))
    and (until_no is null or until_no = any (array(select no from spot_list where in_force_at is null)))
    order by parking_id;
    return null;
end
$$;

create or replace function parking_spot_updated() returns trigger language plpgsql as $$
begin
    insert into change (kind, entity_id, operator_nos, longitude, latitude, located_by)
    select 'PARKING_SPOT', fresh.parking_id, stale.operator_nos, stale.longitude, stale.latitude, stale.located_by
    from fresh join stale using (parking_id, list_no)
    where (fresh.content_hash, fresh.operator_nos, fresh.longitude, fresh.latitude, fresh.located_by)
        is distinct from (stale.content_hash, stale.operator_nos, stale.longitude, stale.latitude, stale.located_by)
    and list_no <> all (array(select no from spot_list where in_force_at is null))
    and (stale.until_no is null or exists (
        select from spot_list where no = stale.until_no and (in_force_at is null or told_to < stale.parking_id)
    ))
    order by fresh.parking_id;
    return null;
end
$$;

create or replace function parking_spot_deleted() returns trigger language plpgsql as $$
begin
    delete from parking_status
    where parking_id in (select parking_id from stale)
    and not exists (select from parking_spot_version as version where version.parking_id = parking_status.parking_id);
    insert into change (kind, entity_id, operator_nos, longitude, latitude, located_by)
    select 'PARKING_SPOT', parking_id, operator_nos, longitude, latitude, located_by from stale
    where list_no <> all (array(select no from spot_list where in_force_at is null))
    and (until_no is null or exists (
        select from spot_list where no = until_no and (in_force_at is null or told_to < parking_id)
    ))
    order by parking_id;
    return null;
end
$$;

grant select, update, delete on parking_spot to {runtime_role};
grant select, insert, update, delete on spot_list to {runtime_role};

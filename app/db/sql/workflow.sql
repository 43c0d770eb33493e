-- The hash chains of workflow_history. A row's hash is sha256(previous hash || content), where the content is all its other
-- columns as one JSON array, so that no two rows have the same text. The first row of a pair follows the empty hash.

create or replace function history_content(
    first_partner_id uuid, second_partner_id uuid, no bigint, subject text, subject_id text, first_role_id integer,
    second_role_id integer, at timestamptz, actor_role_id integer, command text, from_state text, to_state text, reason text,
    content_hash bytea
)
returns bytea language sql stable parallel safe
as $$
    select convert_to(
        json_build_array(
            first_partner_id, second_partner_id, no, subject, subject_id, first_role_id, second_role_id,
            to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), actor_role_id, command, from_state, to_state,
            reason, encode(content_hash, 'hex')
        )::text,
        'UTF8'
    )
$$;

create or replace function next_hash(hash bytea, head bytea, content bytea)
returns bytea language sql immutable parallel safe
as $$ select sha256(coalesce(hash, head) || content) $$;

-- As a window function this is the chain itself: each row's hash from the hash of the row before it.
create or replace aggregate chain_hash(head bytea, content bytea) (sfunc = next_hash, stype = bytea);

-- The first row of each chain that is missing or is not as it was written. A row that was rewritten together with its hash is
-- found by the row after it, which keeps the hash that it followed; the last row by the chain's end.
create or replace function tampered_history()
returns table (first_partner_id uuid, second_partner_id uuid, no bigint, problem text)
language sql stable
as $$
    with history as (
        select *, hash = sha256(prev_hash || history_content(
            first_partner_id, second_partner_id, no, subject, subject_id, first_role_id, second_role_id, at,
            actor_role_id, command, from_state, to_state, reason, content_hash
        )) as is_intact
        from workflow_history
    ),
    linked as (
        select history.*, row_number() over pair as place, lead(no) over pair as next_no,
            case when lead(is_intact) over pair then lead(prev_hash) over pair end as followed_as
        from history window pair as (partition by first_partner_id, second_partner_id order by no)
    ),
    problem as (
        select first_partner_id, second_partner_id, least(place, linked.no) as no,
            case when linked.no > place then 'missing' else 'changed' end as problem
        from linked left join workflow_chain as chain using (first_partner_id, second_partner_id)
        where linked.no <> place or not is_intact or linked.no = 1 and prev_hash <> ''
        or next_no = linked.no + 1 and followed_as <> linked.hash
        or next_no is null and (linked.no, linked.hash) is distinct from (chain.length, chain.hash)
            and linked.no >= coalesce(chain.length, 0)
        union all
        select first_partner_id, second_partner_id, count(linked.no) + 1, 'missing'
        from workflow_chain as chain left join linked using (first_partner_id, second_partner_id)
        group by first_partner_id, second_partner_id, chain.length
        having chain.length > count(linked.no)
    )
    select distinct on (p.first_partner_id, p.second_partner_id) p.* from problem as p
    order by p.first_partner_id, p.second_partner_id, p.no
$$;

SELECT found.location_id, (SELECT coalesce(json_agg(json_build_array(combined_status_1.major, combined_status_1.minor, replace(to_char(timezone('UTC', combined_status_1.updated_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), evse_1.connector_standards, evse_1.maximum_power_kw) ORDER BY evse_1.evse_id), '[]') AS coalesce_1
FROM evse AS evse_1 JOIN (SELECT evse_status.evse_id AS evse_id, CASE WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE AND evse_status.major = 'AVAILABLE' AND evse_status.blocked_until > $1::TIMESTAMP WITH TIME ZONE) THEN 'NOT_AVAILABLE' WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE) THEN evse_status.major ELSE 'UNKNOWN' END AS major, CASE WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE AND evse_status.major = 'AVAILABLE' AND evse_status.blocked_until > $1::TIMESTAMP WITH TIME ZONE) THEN 'BLOCKED' WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE) THEN evse_status.minor END AS minor, CASE WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE AND evse_status.major = 'AVAILABLE' AND evse_status.blocked_until > $1::TIMESTAMP WITH TIME ZONE) THEN least(evse_status.ttl, evse_status.blocked_until) WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE) THEN evse_status.ttl END AS ttl, CASE WHEN (evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE) THEN evse_status.updated_at ELSE evse_status.expires_at END AS updated_at
FROM evse_status) AS combined_status_1 ON evse_1.evse_id = combined_status_1.evse_id
WHERE evse_1.operator_no = found.operator_no AND evse_1.location_id = found.location_id) AS anon_1, found.operator_no
FROM (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND (SELECT count(*) AS count_1
FROM evse
WHERE evse.operator_no = location.operator_no AND evse.location_id = location.location_id AND coalesce(evse.regular_minutes IS NOT NULL AND (EXISTS (SELECT 1
FROM evse_status
WHERE evse_status.evse_id = evse.evse_id AND evse_status.major = 'AVAILABLE' AND evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE AND (evse_status.blocked_until IS NULL OR evse_status.blocked_until <= $1::TIMESTAMP WITH TIME ZONE)
 LIMIT ALL OFFSET 0)) AND (evse.operative_at @> $1::TIMESTAMP WITH TIME ZONE) AND CASE WHEN ((evse.regular_minutes @> '[0,10080)'::int4range) OR (evse.regular_minutes @> (CAST(EXTRACT(isodow FROM timezone(coalesce(evse.clock_zone, 'UTC'), $1::TIMESTAMP WITH TIME ZONE)) AS INTEGER) - 1) * 1440 + CAST(EXTRACT(hour FROM timezone(coalesce(evse.clock_zone, 'UTC'), $1::TIMESTAMP WITH TIME ZONE)) AS INTEGER) * 60 + CAST(EXTRACT(minute FROM timezone(coalesce(evse.clock_zone, 'UTC'), $1::TIMESTAMP WITH TIME ZONE)) AS INTEGER))) THEN NOT (evse.exceptional_closings @> $1::TIMESTAMP WITH TIME ZONE) ELSE evse.exceptional_openings @> $1::TIMESTAMP WITH TIME ZONE END, false)) >= $2::INTEGER ORDER BY location.operator_no, location.location_id
 LIMIT $3::BIGINT) AS found ORDER BY found.operator_no, found.location_id
 LIMIT $3::BIGINT;

SELECT found.location_id, found.operator_no
FROM (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND (SELECT count(*) AS count_1
FROM evse
WHERE evse.operator_no = location.operator_no AND evse.location_id = location.location_id AND coalesce(evse.regular_minutes IS NOT NULL AND (EXISTS (SELECT 1
FROM evse_status
WHERE evse_status.evse_id = evse.evse_id AND evse_status.major = 'AVAILABLE' AND evse_status.expires_at > $1::TIMESTAMP WITH TIME ZONE AND (evse_status.blocked_until IS NULL OR evse_status.blocked_until <= $1::TIMESTAMP WITH TIME ZONE)
 LIMIT ALL OFFSET 0)) AND (evse.operative_at @> $1::TIMESTAMP WITH TIME ZONE) AND CASE WHEN ((evse.regular_minutes @> '[0,10080)'::int4range) OR (evse.regular_minutes @> (CAST(EXTRACT(isodow FROM timezone(coalesce(evse.clock_zone, 'UTC'), $1::TIMESTAMP WITH TIME ZONE)) AS INTEGER) - 1) * 1440 + CAST(EXTRACT(hour FROM timezone(coalesce(evse.clock_zone, 'UTC'), $1::TIMESTAMP WITH TIME ZONE)) AS INTEGER) * 60 + CAST(EXTRACT(minute FROM timezone(coalesce(evse.clock_zone, 'UTC'), $1::TIMESTAMP WITH TIME ZONE)) AS INTEGER))) THEN NOT (evse.exceptional_closings @> $1::TIMESTAMP WITH TIME ZONE) ELSE evse.exceptional_openings @> $1::TIMESTAMP WITH TIME ZONE END, false)) >= $2::INTEGER ORDER BY location.operator_no, location.location_id
 LIMIT $3::BIGINT) AS found ORDER BY found.operator_no, found.location_id
 LIMIT $3::BIGINT;

SELECT found.location_id, found.operator_no
FROM (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND (SELECT count(*) AS count_1
FROM evse
WHERE evse.operator_no = location.operator_no AND evse.location_id = location.location_id AND evse.connector_mask & $1::BIGINT != 0 AND coalesce(evse.regular_minutes IS NOT NULL AND (EXISTS (SELECT 1
FROM evse_status
WHERE evse_status.evse_id = evse.evse_id AND evse_status.major = 'AVAILABLE' AND evse_status.expires_at > $2::TIMESTAMP WITH TIME ZONE AND (evse_status.blocked_until IS NULL OR evse_status.blocked_until <= $2::TIMESTAMP WITH TIME ZONE)
 LIMIT ALL OFFSET 0)) AND (evse.operative_at @> $2::TIMESTAMP WITH TIME ZONE) AND CASE WHEN ((evse.regular_minutes @> '[0,10080)'::int4range) OR (evse.regular_minutes @> (CAST(EXTRACT(isodow FROM timezone(coalesce(evse.clock_zone, 'UTC'), $2::TIMESTAMP WITH TIME ZONE)) AS INTEGER) - 1) * 1440 + CAST(EXTRACT(hour FROM timezone(coalesce(evse.clock_zone, 'UTC'), $2::TIMESTAMP WITH TIME ZONE)) AS INTEGER) * 60 + CAST(EXTRACT(minute FROM timezone(coalesce(evse.clock_zone, 'UTC'), $2::TIMESTAMP WITH TIME ZONE)) AS INTEGER))) THEN NOT (evse.exceptional_closings @> $2::TIMESTAMP WITH TIME ZONE) ELSE evse.exceptional_openings @> $2::TIMESTAMP WITH TIME ZONE END, false)) >= $3::INTEGER ORDER BY location.operator_no, location.location_id
 LIMIT $4::BIGINT) AS found ORDER BY found.operator_no, found.location_id
 LIMIT $4::BIGINT;

SELECT found.location_id, found.operator_no
FROM (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) ORDER BY location.operator_no, location.location_id
 LIMIT $1::BIGINT) AS found ORDER BY found.operator_no, found.location_id
 LIMIT $1::BIGINT;

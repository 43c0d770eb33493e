SELECT (SELECT coalesce(json_agg(json_build_array(replace(to_char(timezone('UTC', anon_2.at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), anon_2.major, anon_2.minor) ORDER BY anon_2.at, anon_2.recorded_at), '[]') AS coalesce_1
FROM (SELECT status_history_1.evse_id AS evse_id, status_history_1.at AS at, status_history_1.major AS major, status_history_1.minor AS minor, status_history_1.recorded_at AS recorded_at
FROM status_history AS status_history_1
WHERE status_history_1.evse_id = found.evse_id AND status_history_1.at >= $1::TIMESTAMP WITH TIME ZONE AND status_history_1.at < $2::TIMESTAMP WITH TIME ZONE ORDER BY status_history_1.at DESC, status_history_1.recorded_at DESC
 LIMIT 1000) AS anon_2) AS anon_1, (SELECT coalesce(json_agg(json_build_array(replace(to_char(timezone('UTC', anon_4.at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', '')) ORDER BY anon_4.at, anon_4.recorded_at), '[]') AS coalesce_2
FROM (SELECT status_history_2.evse_id AS evse_id, status_history_2.at AS at, status_history_2.major AS major, status_history_2.minor AS minor, status_history_2.recorded_at AS recorded_at
FROM status_history AS status_history_2
WHERE status_history_2.evse_id = found.evse_id AND status_history_2.at >= $3::TIMESTAMP WITH TIME ZONE AND status_history_2.at < $4::TIMESTAMP WITH TIME ZONE ORDER BY status_history_2.at DESC, status_history_2.recorded_at DESC
 LIMIT 1000) AS anon_4) AS anon_3
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND evse.evse_id = $5::VARCHAR COLLATE "C") AS found;

-- on a connection of the pool `planned`
SELECT found.evse_id
FROM (SELECT row.evse_id AS evse_id
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.ahead AS ahead
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.latitude >= $1::FLOAT(53) AND shown_evse.latitude < $2::FLOAT(53) AND (shown_evse.longitude >= $3::FLOAT(53) OR shown_evse.longitude < $4::FLOAT(53)) AND ((geometry(shown_evse.geog) && ST_MakeEnvelope($3::FLOAT(53), greatest($1::FLOAT(53), -90::float8), least(180::float8, 180::float8), least($2::FLOAT(53), 90::float8), 4326)) OR (geometry(shown_evse.geog) && ST_MakeEnvelope(-180::float8, greatest($1::FLOAT(53), -90::float8), least($4::FLOAT(53), 180::float8), least($2::FLOAT(53), 90::float8), 4326))) AND (shown_evse.evse_id) > ($5::VARCHAR COLLATE "C") ORDER BY shown_evse.evse_id
 LIMIT $6::BIGINT) AS page JOIN LATERAL (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE shown_evse.evse_id = page.evse_id AND shown_evse.ahead = page.ahead
 LIMIT 1) AS row ON true) AS found ORDER BY found.evse_id
 LIMIT $6::BIGINT;

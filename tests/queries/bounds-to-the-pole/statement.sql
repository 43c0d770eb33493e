-- on a connection of the pool `planned`
SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse JOIN (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND evse.latitude >= $1::FLOAT(53) AND evse.latitude < $2::FLOAT(53) AND evse.longitude >= $3::FLOAT(53) AND evse.longitude < $4::FLOAT(53) AND (geometry(evse.geog) && ST_MakeEnvelope($3::FLOAT(53), greatest($1::FLOAT(53), -90::float8), least($4::FLOAT(53), 180::float8), least($2::FLOAT(53), 90::float8), 4326)) ORDER BY evse.evse_id
 LIMIT $5::BIGINT) AS page ON evse.evse_id = page.evse_id) AS found ORDER BY found.evse_id
 LIMIT $5::BIGINT;

-- on a connection of the pool `planned`
SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse JOIN (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND evse.latitude >= $1::FLOAT(53) AND evse.latitude < $2::FLOAT(53) AND evse.longitude >= $3::FLOAT(53) AND evse.longitude < $4::FLOAT(53) AND (geometry(evse.geog) && ST_MakeEnvelope($3::FLOAT(53), greatest($1::FLOAT(53), -90::float8), least($4::FLOAT(53), 180::float8), least($2::FLOAT(53), 90::float8), 4326)) ORDER BY evse.evse_id
 LIMIT $5::BIGINT) AS page ON evse.evse_id = page.evse_id) AS found ORDER BY found.evse_id
 LIMIT $5::BIGINT;

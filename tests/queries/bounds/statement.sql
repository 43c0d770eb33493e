-- on a connection of the pool `planned`
SELECT found.evse_id, found.latitude, found.longitude
FROM (SELECT evse.latitude AS latitude, evse.longitude AS longitude, evse.evse_id AS evse_id
FROM evse JOIN (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.latitude >= $2::FLOAT(53) AND evse.latitude < $3::FLOAT(53) AND evse.longitude >= $4::FLOAT(53) AND evse.longitude < $5::FLOAT(53) AND (geometry(evse.geog) && ST_MakeEnvelope($4::FLOAT(53), greatest($2::FLOAT(53), -90::float8), least($5::FLOAT(53), 180::float8), least($3::FLOAT(53), 90::float8), 4326)) ORDER BY evse.evse_id
 LIMIT $6::BIGINT) AS page ON evse.evse_id = page.evse_id) AS found ORDER BY found.evse_id
 LIMIT $6::BIGINT;

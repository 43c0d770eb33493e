-- on a connection of the pool `planned`
SELECT found.parking_id
FROM (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot JOIN (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot
WHERE coalesce(parking_spot.operator_nos && array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1)) OR parking_spot.party_id = any(array((SELECT anon_2
FROM visible_parking_operators($1::INTEGER) AS anon_2))), false) AND coalesce(parking_spot.located_by IS NULL OR parking_spot.located_by = any(array((SELECT anon_3
FROM visible_operators($1::INTEGER) AS anon_3))), false) AND parking_spot.latitude >= $2::FLOAT(53) AND parking_spot.latitude < $3::FLOAT(53) AND parking_spot.longitude >= $4::FLOAT(53) AND parking_spot.longitude < $5::FLOAT(53) AND (geometry(parking_spot.geog) && ST_MakeEnvelope($4::FLOAT(53), greatest($2::FLOAT(53), -90::float8), least($5::FLOAT(53), 180::float8), least($3::FLOAT(53), 90::float8), 4326)) ORDER BY parking_spot.parking_id
 LIMIT $6::BIGINT) AS page ON parking_spot.parking_id = page.parking_id) AS found ORDER BY found.parking_id
 LIMIT $6::BIGINT;

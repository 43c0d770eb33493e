-- on a connection of the pool `planned`
SELECT found.parking_id
FROM (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot JOIN (SELECT DISTINCT parking_place.parking_id AS parking_id
FROM parking_place
WHERE coalesce(parking_place.operator_nos && array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1)) OR parking_place.own AND parking_place.party_id = any(array((SELECT anon_2
FROM visible_parking_operators($1::INTEGER) AS anon_2))), false) AND parking_place.latitude >= $2::FLOAT(53) AND parking_place.latitude < $3::FLOAT(53) AND parking_place.longitude >= $4::FLOAT(53) AND parking_place.longitude < $5::FLOAT(53) AND (geometry(parking_place.geog) && ST_MakeEnvelope($4::FLOAT(53), greatest($2::FLOAT(53), -90::float8), least($5::FLOAT(53), 180::float8), least($3::FLOAT(53), 90::float8), 4326)) ORDER BY parking_place.parking_id
 LIMIT $6::BIGINT) AS page ON parking_spot.parking_id = page.parking_id) AS found ORDER BY found.parking_id
 LIMIT $6::BIGINT;

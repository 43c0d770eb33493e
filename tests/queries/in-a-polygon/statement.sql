-- on a connection of the pool `planned`
SELECT found.location_id, operator_1.party_id, found.operator_no
FROM (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location JOIN (SELECT location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND ST_Intersects(geometry(location.geog), ST_GeomFromText($2::VARCHAR, 4326)) ORDER BY location.operator_no, location.location_id
 LIMIT $3::BIGINT) AS page ON location.operator_no = page.operator_no AND location.location_id = page.location_id) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.operator_no, found.location_id
 LIMIT $3::BIGINT;

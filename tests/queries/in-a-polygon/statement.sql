-- on a connection of the pool `planned`
SELECT found.location_id, operator_1.party_id, found.operator_no
FROM (SELECT row.operator_no AS operator_no, row.location_id AS location_id
FROM (SELECT shown_location.operator_no AS operator_no, shown_location.location_id AS location_id, shown_location.ahead AS ahead
FROM shown_location
WHERE coalesce(shown_location.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_location.ahead = (shown_location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND ST_Intersects(geometry(shown_location.geog), ST_GeomFromText($2::VARCHAR, 4326)) ORDER BY shown_location.operator_no, shown_location.location_id
 LIMIT $3::BIGINT) AS page JOIN LATERAL (SELECT shown_location.operator_no AS operator_no, shown_location.location_id AS location_id
FROM shown_location
WHERE shown_location.operator_no = page.operator_no AND shown_location.location_id = page.location_id AND shown_location.ahead = page.ahead
 LIMIT 1) AS row ON true) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.operator_no, found.location_id
 LIMIT $3::BIGINT;

SELECT found.distance_m, found.parking_id, found.latitude, found.longitude, found.updated_at, spot_status_1.status_updated_at
FROM (SELECT parking_spot.latitude AS latitude, parking_spot.longitude AS longitude, parking_spot.updated_at AS updated_at, parking_spot.parking_id AS parking_id, page.distance_m AS distance_m
FROM parking_spot JOIN (SELECT parking_place.parking_id AS parking_id, parking_place.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM parking_place
WHERE coalesce(parking_place.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) AND ST_DWithin(parking_place.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $3::FLOAT(53), false) AND NOT (EXISTS (SELECT 1
FROM parking_place AS other
WHERE other.parking_id = parking_place.parking_id AND other.place_no != parking_place.place_no AND coalesce(other.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) AND (other.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), other.place_no) < (parking_place.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), parking_place.place_no)
 LIMIT ALL OFFSET 0)) ORDER BY parking_place.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($4::BIGINT) ROWS WITH TIES) AS page ON parking_spot.parking_id = page.parking_id) AS found JOIN (SELECT parking_status.parking_id AS parking_id, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.status ELSE 'UNKNOWN' END AS status, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.ttl END AS ttl, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.updated_at ELSE parking_status.expires_at END AS status_updated_at
FROM parking_status) AS spot_status_1 ON found.parking_id = spot_status_1.parking_id ORDER BY found.distance_m, found.parking_id
 LIMIT $4::BIGINT;

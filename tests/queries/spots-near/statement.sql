SELECT found.distance_m, found.parking_id, CASE WHEN (found.located_by IS NULL OR found.located_by = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)))) THEN found.latitude END AS anon_1, CASE WHEN (found.located_by IS NULL OR found.located_by = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)))) THEN found.longitude END AS anon_2, found.updated_at, spot_status_1.status_updated_at
FROM (SELECT parking_spot.latitude AS latitude, parking_spot.longitude AS longitude, parking_spot.updated_at AS updated_at, parking_spot.located_by AS located_by, parking_spot.parking_id AS parking_id, parking_spot.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM parking_spot
WHERE coalesce(parking_spot.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) AND coalesce(parking_spot.located_by IS NULL OR parking_spot.located_by = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND ST_DWithin(parking_spot.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $3::FLOAT(53), false) ORDER BY parking_spot.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($4::BIGINT) ROWS WITH TIES) AS found JOIN (SELECT parking_status.parking_id AS parking_id, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.status ELSE 'UNKNOWN' END AS status, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.ttl END AS ttl, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.updated_at ELSE parking_status.expires_at END AS status_updated_at
FROM parking_status) AS spot_status_1 ON found.parking_id = spot_status_1.parking_id ORDER BY found.distance_m, found.parking_id
 LIMIT $4::BIGINT;

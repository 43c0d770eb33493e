SELECT found.distance_m, found.parking_id, published_spot_1.latitude, published_spot_1.longitude, published_spot_1.parking_id AS parking_id_1, published_spot_2.updated_at, spot_status_1.status_updated_at
FROM (SELECT parking_spot.parking_id AS parking_id, page.distance_m AS distance_m
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
 FETCH FIRST ($4::BIGINT) ROWS WITH TIES) AS page ON parking_spot.parking_id = page.parking_id) AS found LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.longitude AS longitude, parking_spot.latitude AS latitude
FROM parking_spot
WHERE parking_spot.longitude IS NOT NULL) AS published_spot_1 ON found.parking_id = published_spot_1.parking_id AND coalesce(published_spot_1.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.restrictions AS restrictions, parking_spot.floor_level AS floor_level, parking_spot.number AS number, parking_spot.updated_at AS updated_at
FROM parking_spot
WHERE parking_spot.content_hash IS NOT NULL) AS published_spot_2 ON found.parking_id = published_spot_2.parking_id AND coalesce(published_spot_2.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) LEFT OUTER JOIN (SELECT parking_status.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_status.said_by = 0 AS by_pso, CASE WHEN (parking_status.said_by = 0) THEN parking_spot.contracted_nos ELSE ARRAY[parking_status.said_by] END AS operator_nos, row(coalesce(parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE AND parking_status.status != 'UNKNOWN', false), parking_status.said_by = 0, parking_status.updated_at, parking_status.said_by) AS rank, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.status ELSE 'UNKNOWN' END AS status, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.ttl END AS ttl, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.updated_at ELSE parking_status.expires_at END AS status_updated_at
FROM parking_status JOIN parking_spot ON parking_spot.parking_id = parking_status.parking_id
WHERE parking_status.at IS NOT NULL) AS spot_status_1 ON found.parking_id = spot_status_1.parking_id AND coalesce(spot_status_1.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) AND NOT (EXISTS (SELECT spot_status_2.parking_id
FROM (SELECT parking_status.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_status.said_by = 0 AS by_pso, CASE WHEN (parking_status.said_by = 0) THEN parking_spot.contracted_nos ELSE ARRAY[parking_status.said_by] END AS operator_nos, row(coalesce(parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE AND parking_status.status != 'UNKNOWN', false), parking_status.said_by = 0, parking_status.updated_at, parking_status.said_by) AS rank, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.status ELSE 'UNKNOWN' END AS status, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.ttl END AS ttl, CASE WHEN (parking_status.expires_at > $5::TIMESTAMP WITH TIME ZONE) THEN parking_status.updated_at ELSE parking_status.expires_at END AS status_updated_at
FROM parking_status JOIN parking_spot ON parking_spot.parking_id = parking_status.parking_id
WHERE parking_status.at IS NOT NULL) AS spot_status_2
WHERE spot_status_2.parking_id = spot_status_1.parking_id AND spot_status_2.rank > spot_status_1.rank AND coalesce(spot_status_2.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false))) ORDER BY found.distance_m, found.parking_id
 LIMIT $4::BIGINT;

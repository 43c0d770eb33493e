SELECT found.parking_id, spot_status_1.status, published_spot_1.updated_at, spot_status_1.status_updated_at, published_spot_1.number, published_spot_1.restrictions
FROM (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot
WHERE coalesce(parking_spot.operator_nos && array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1)) OR parking_spot.party_id = any(array((SELECT anon_2
FROM visible_parking_operators($1::INTEGER) AS anon_2))), false) AND parking_spot.parking_id = ANY ($2::TEXT[]) ORDER BY parking_spot.parking_id
 LIMIT $3::BIGINT) AS found LEFT OUTER JOIN (SELECT parking_status.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_status.said_by = 0 AS by_pso, CASE WHEN (parking_status.said_by = 0) THEN parking_spot.contracted_nos ELSE ARRAY[parking_status.said_by] END AS operator_nos, row(coalesce(parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE AND parking_status.status != 'UNKNOWN', false), parking_status.said_by = 0, parking_status.updated_at, parking_status.said_by) AS rank, CASE WHEN (parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE) THEN parking_status.status ELSE 'UNKNOWN' END AS status, CASE WHEN (parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE) THEN parking_status.ttl END AS ttl, CASE WHEN (parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE) THEN parking_status.updated_at ELSE parking_status.expires_at END AS status_updated_at
FROM parking_status JOIN parking_spot ON parking_spot.parking_id = parking_status.parking_id
WHERE parking_status.at IS NOT NULL) AS spot_status_1 ON found.parking_id = spot_status_1.parking_id AND coalesce(spot_status_1.operator_nos && array((SELECT anon_3
FROM visible_operators($1::INTEGER) AS anon_3)) OR spot_status_1.by_pso AND spot_status_1.party_id = any(array((SELECT anon_4
FROM visible_parking_operators($1::INTEGER) AS anon_4))), false) AND NOT (EXISTS (SELECT spot_status_2.parking_id
FROM (SELECT parking_status.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_status.said_by = 0 AS by_pso, CASE WHEN (parking_status.said_by = 0) THEN parking_spot.contracted_nos ELSE ARRAY[parking_status.said_by] END AS operator_nos, row(coalesce(parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE AND parking_status.status != 'UNKNOWN', false), parking_status.said_by = 0, parking_status.updated_at, parking_status.said_by) AS rank, CASE WHEN (parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE) THEN parking_status.status ELSE 'UNKNOWN' END AS status, CASE WHEN (parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE) THEN parking_status.ttl END AS ttl, CASE WHEN (parking_status.expires_at > $4::TIMESTAMP WITH TIME ZONE) THEN parking_status.updated_at ELSE parking_status.expires_at END AS status_updated_at
FROM parking_status JOIN parking_spot ON parking_spot.parking_id = parking_status.parking_id
WHERE parking_status.at IS NOT NULL) AS spot_status_2
WHERE spot_status_2.parking_id = spot_status_1.parking_id AND spot_status_2.rank > spot_status_1.rank AND coalesce(spot_status_2.operator_nos && array((SELECT anon_5
FROM visible_operators($1::INTEGER) AS anon_5)) OR spot_status_2.by_pso AND spot_status_2.party_id = any(array((SELECT anon_6
FROM visible_parking_operators($1::INTEGER) AS anon_6))), false))) LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.restrictions AS restrictions, parking_spot.floor_level AS floor_level, parking_spot.number AS number, parking_spot.updated_at AS updated_at
FROM parking_spot
WHERE parking_spot.content_hash IS NOT NULL) AS published_spot_1 ON found.parking_id = published_spot_1.parking_id AND coalesce(published_spot_1.contracted_nos && array((SELECT anon_7
FROM visible_operators($1::INTEGER) AS anon_7)) OR published_spot_1.party_id = any(array((SELECT anon_8
FROM visible_parking_operators($1::INTEGER) AS anon_8))), false) ORDER BY found.parking_id
 LIMIT $3::BIGINT;

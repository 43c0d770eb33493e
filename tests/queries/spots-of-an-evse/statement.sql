SELECT found.evse_id, (SELECT coalesce(json_agg(json_build_array(parking_spot_1.parking_id, published_spot_1.latitude, published_spot_1.parking_id, (SELECT coalesce(json_agg(json_build_array(evse_1.evse_id) ORDER BY evse_1.evse_id), '[]') AS coalesce_2
FROM evse AS evse_1
WHERE evse_1.evse_id IN (SELECT evse_parking_spot.evse_id
FROM evse_parking_spot
WHERE evse_parking_spot.parking_id = parking_spot_1.parking_id) AND coalesce(evse_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false)), published_spot_2.number) ORDER BY parking_spot_1.parking_id), '[]') AS coalesce_1
FROM parking_spot AS parking_spot_1 LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.longitude AS longitude, parking_spot.latitude AS latitude
FROM parking_spot
WHERE parking_spot.longitude IS NOT NULL) AS published_spot_1 ON parking_spot_1.parking_id = published_spot_1.parking_id AND coalesce(published_spot_1.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.restrictions AS restrictions, parking_spot.floor_level AS floor_level, parking_spot.number AS number, parking_spot.updated_at AS updated_at
FROM parking_spot
WHERE parking_spot.content_hash IS NOT NULL) AS published_spot_2 ON parking_spot_1.parking_id = published_spot_2.parking_id AND coalesce(published_spot_2.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false)
WHERE parking_spot_1.parking_id = ANY (found.parking_ids)) AS anon_1, found.parking_ids, found.parking_restrictions, found.parking_numbers
FROM (SELECT evse.parking_ids AS parking_ids, evse.parking_restrictions AS parking_restrictions, evse.parking_numbers AS parking_numbers, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND evse.evse_id = ANY ($1::TEXT[]) ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.parking_id, published_spot_1.restrictions, published_spot_1.floor_level, published_spot_1.number, published_spot_2.longitude, published_spot_2.parking_id AS parking_id_1, (SELECT coalesce(json_agg(json_build_array(evse_1.evse_id, location_1.location_name, (SELECT coalesce(json_agg(json_build_array(parking_spot_1.parking_id, published_spot_3.number) ORDER BY parking_spot_1.parking_id), '[]') AS coalesce_2
FROM parking_spot AS parking_spot_1 LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.restrictions AS restrictions, parking_spot.floor_level AS floor_level, parking_spot.number AS number, parking_spot.updated_at AS updated_at
FROM parking_spot
WHERE parking_spot.content_hash IS NOT NULL) AS published_spot_3 ON parking_spot_1.parking_id = published_spot_3.parking_id AND coalesce(published_spot_3.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false)
WHERE parking_spot_1.parking_id = ANY (evse_1.parking_ids)), evse_1.parking_ids, evse_1.parking_numbers) ORDER BY evse_1.evse_id), '[]') AS coalesce_1
FROM evse AS evse_1 JOIN location AS location_1 ON evse_1.operator_no = location_1.operator_no AND evse_1.location_id = location_1.location_id
WHERE evse_1.evse_id IN (SELECT evse_parking_spot.evse_id
FROM evse_parking_spot
WHERE evse_parking_spot.parking_id = found.parking_id) AND coalesce(evse_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false)) AS anon_1
FROM (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot
WHERE coalesce(parking_spot.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) AND parking_spot.parking_id = $1::VARCHAR COLLATE "C") AS found LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.restrictions AS restrictions, parking_spot.floor_level AS floor_level, parking_spot.number AS number, parking_spot.updated_at AS updated_at
FROM parking_spot
WHERE parking_spot.content_hash IS NOT NULL) AS published_spot_1 ON found.parking_id = published_spot_1.parking_id AND coalesce(published_spot_1.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) LEFT OUTER JOIN (SELECT parking_spot.parking_id AS parking_id, parking_spot.party_id AS party_id, parking_spot.contracted_nos AS contracted_nos, parking_spot.longitude AS longitude, parking_spot.latitude AS latitude
FROM parking_spot
WHERE parking_spot.longitude IS NOT NULL) AS published_spot_2 ON found.parking_id = published_spot_2.parking_id AND coalesce(published_spot_2.contracted_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false);

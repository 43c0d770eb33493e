SELECT found.parking_id, (SELECT coalesce(json_agg(json_build_array(evse_1.evse_id) ORDER BY evse_1.evse_id), '[]') AS coalesce_1
FROM evse AS evse_1
WHERE evse_1.evse_id IN (SELECT evse_parking_spot.evse_id
FROM evse_parking_spot
WHERE evse_parking_spot.parking_id = found.parking_id) AND coalesce(evse_1.operator_no = any(array((SELECT anon_2
FROM visible_operators($1::INTEGER) AS anon_2))), false)) AS anon_1
FROM (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot
WHERE coalesce(parking_spot.operator_nos && array((SELECT anon_3
FROM visible_operators($1::INTEGER) AS anon_3)) OR parking_spot.party_id = any(array((SELECT anon_4
FROM visible_parking_operators($1::INTEGER) AS anon_4))), false) AND parking_spot.parking_id = ANY ($2::TEXT[]) AND parking_spot.party_id = ANY ($3::TEXT[]) ORDER BY parking_spot.parking_id
 LIMIT $4::BIGINT) AS found ORDER BY found.parking_id
 LIMIT $4::BIGINT;

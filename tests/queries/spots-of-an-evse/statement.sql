SELECT found.evse_id, (SELECT coalesce(json_agg(json_build_array(parking_spot_1.parking_id, parking_spot_1.latitude, parking_spot_1.longitude, (SELECT coalesce(json_agg(json_build_array(shown_evse_1.evse_id) ORDER BY shown_evse_1.evse_id), '[]') AS coalesce_2
FROM shown_evse AS shown_evse_1
WHERE shown_evse_1.evse_id IN (SELECT evse_parking_spot.evse_id
FROM evse_parking_spot
WHERE evse_parking_spot.parking_id = parking_spot_1.parking_id) AND coalesce(shown_evse_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse_1.ahead = (shown_evse_1.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false)), parking_spot_1.number) ORDER BY parking_spot_1.parking_id), '[]') AS coalesce_1
FROM parking_spot AS parking_spot_1
WHERE parking_spot_1.parking_id = ANY (found.parking_ids)) AS anon_1, found.parking_ids, found.parking_restrictions, found.parking_numbers
FROM (SELECT shown_evse.parking_ids AS parking_ids, shown_evse.parking_restrictions AS parking_restrictions, shown_evse.parking_numbers AS parking_numbers, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = ANY ($1::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id, found.location_id, shown_location_1.location_name, operator_1.party_id, operator_1.name, found.latitude
FROM (SELECT shown_evse.location_id AS location_id, shown_evse.latitude AS latitude, shown_evse.operator_no AS operator_no, shown_evse.ahead AS ahead, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.location_id = ANY ($1::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found JOIN shown_location AS shown_location_1 ON found.operator_no = shown_location_1.operator_no AND found.location_id = shown_location_1.location_id AND found.ahead = shown_location_1.ahead JOIN operator AS operator_1 ON found.operator_no = operator_1.no ORDER BY found.evse_id
 LIMIT $2::BIGINT;

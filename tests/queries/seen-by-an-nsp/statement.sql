SELECT found.evse_id, operator_1.party_id, location_1.location_name
FROM (SELECT evse.operator_no AS operator_no, evse.location_id AS location_id, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id, operator_1.party_id
FROM (SELECT evse.evse_id AS evse_id, evse.operator_no AS operator_no
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no;

SELECT found.evse_id, operator_1.party_id
FROM (SELECT evse.evse_id AS evse_id, evse.operator_no AS operator_no
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no;

SELECT found.evse_id, operator_1.party_id
FROM (SELECT evse.evse_id AS evse_id, evse.operator_no AS operator_no
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found JOIN operator AS operator_1 ON found.operator_no = operator_1.no;

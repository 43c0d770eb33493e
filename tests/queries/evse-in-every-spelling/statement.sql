SELECT found.evse_id, found.evse_id_as_sent
FROM (SELECT evse.evse_id AS evse_id, evse.evse_id_as_sent AS evse_id_as_sent
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id, found.evse_id_as_sent
FROM (SELECT evse.evse_id AS evse_id, evse.evse_id_as_sent AS evse_id_as_sent
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id, found.evse_id_as_sent
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.evse_id_as_sent AS evse_id_as_sent
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.evse_id, found.evse_id_as_sent
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.evse_id_as_sent AS evse_id_as_sent
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

SELECT 1
FROM (SELECT
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

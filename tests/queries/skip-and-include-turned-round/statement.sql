SELECT 1
FROM (SELECT
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

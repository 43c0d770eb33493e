SELECT 1
FROM (SELECT
FROM evse
WHERE coalesce(evse.list_no = any(array((SELECT operator.list_no
FROM operator JOIN visible_operators($1::INTEGER) AS anon_1(no) ON operator.no = anon_1.no))), false) AND evse.evse_id = $2::VARCHAR COLLATE "C") AS found;

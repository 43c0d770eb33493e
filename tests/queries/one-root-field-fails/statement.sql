SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND evse.evse_id = $1::VARCHAR COLLATE "C") AS found;

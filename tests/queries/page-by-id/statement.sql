SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) AND (evse.evse_id) > ($1::VARCHAR COLLATE "C") ORDER BY evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

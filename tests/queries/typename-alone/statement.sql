SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended), false) ORDER BY evse.evse_id
 LIMIT $1::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $1::BIGINT;

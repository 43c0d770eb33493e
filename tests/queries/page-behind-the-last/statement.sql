SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND (shown_evse.evse_id) > ($1::VARCHAR COLLATE "C") ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

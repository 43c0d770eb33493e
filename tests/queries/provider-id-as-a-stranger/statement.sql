SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.operator_no = ANY (array((SELECT anon_1
FROM operators_of_provider($1::INTEGER, $2::VARCHAR) AS anon_1))) ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

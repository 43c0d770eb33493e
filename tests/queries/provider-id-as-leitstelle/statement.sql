SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE evse.operator_no = ANY (array((SELECT anon_1
FROM operators_of_provider($1::INTEGER, $2::VARCHAR) AS anon_1))) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

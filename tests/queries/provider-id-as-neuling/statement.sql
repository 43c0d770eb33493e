SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.operator_no = ANY (array((SELECT anon_2
FROM operators_of_provider($1::INTEGER, $2::VARCHAR) AS anon_2))) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

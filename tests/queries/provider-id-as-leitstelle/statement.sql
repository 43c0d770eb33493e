SELECT found.evse_id
FROM (SELECT evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.list_no IN (SELECT operator.list_no
FROM operator), false) AND evse.list_no = ANY (array((SELECT operator.list_no
FROM operator JOIN operators_of_provider($1::INTEGER, $2::VARCHAR) AS anon_1(no) ON operator.no = anon_1.no))) ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

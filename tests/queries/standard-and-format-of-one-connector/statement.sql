SELECT found.evse_id, found.connector_standards, found.connector_formats
FROM (SELECT evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.connector_mask & $2::BIGINT != 0 ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.connector_standards, found.connector_formats
FROM (SELECT evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.connector_mask & $2::BIGINT != 0 ORDER BY evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.connector_standards, found.connector_formats
FROM (SELECT evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.evse_id AS evse_id
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1), false) AND evse.connector_mask & $2::BIGINT != 0 AND evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($3::TEXT[])))) ORDER BY evse.evse_id
 LIMIT $4::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $4::BIGINT;

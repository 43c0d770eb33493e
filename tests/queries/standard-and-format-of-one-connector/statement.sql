SELECT found.evse_id, found.connector_standards, found.connector_formats
FROM (SELECT shown_evse.connector_standards AS connector_standards, shown_evse.connector_formats AS connector_formats, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.connector_mask & $2::BIGINT != 0 ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.connector_standards, found.connector_formats
FROM (SELECT shown_evse.connector_standards AS connector_standards, shown_evse.connector_formats AS connector_formats, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.connector_mask & $2::BIGINT != 0 ORDER BY shown_evse.evse_id
 LIMIT $3::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $3::BIGINT;

SELECT found.evse_id, found.connector_standards, found.connector_formats
FROM (SELECT shown_evse.connector_standards AS connector_standards, shown_evse.connector_formats AS connector_formats, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($1::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.connector_mask & $2::BIGINT != 0 AND shown_evse.operator_no = ANY (array((SELECT operator.no
FROM operator
WHERE operator.party_id = ANY ($3::TEXT[])))) ORDER BY shown_evse.evse_id
 LIMIT $4::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $4::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = ANY ($1::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.connector_mask & $1::BIGINT != 0 ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.auth_methods & $1::INTEGER != 0 ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.location_type = ANY ($1::TEXT[]) ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.restrictions & $1::INTEGER = 0 ORDER BY shown_evse.evse_id
 LIMIT $2::BIGINT) AS found ORDER BY found.evse_id
 LIMIT $2::BIGINT;

SELECT found.distance_m, found.evse_id, found.longitude
FROM (SELECT shown_evse.longitude AS longitude, shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $3::FLOAT(53), false) ORDER BY shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326))
 FETCH FIRST ($4::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $4::BIGINT;

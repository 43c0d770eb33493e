SELECT found.distance_m, found.evse_id
FROM (SELECT shown_evse.evse_id AS evse_id, shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS distance_m
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND ST_DWithin(shown_evse.geog, geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), $4::FLOAT(53), false) AND (shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)), shown_evse.evse_id) > ($5::FLOAT(53), $6::VARCHAR COLLATE "C") ORDER BY shown_evse.geog <-> geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326))
 FETCH FIRST ($7::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $7::BIGINT;

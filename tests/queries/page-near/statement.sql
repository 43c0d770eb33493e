SELECT found.distance_m, found.evse_id
FROM (SELECT evse.evse_id AS evse_id, evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1) AS distance_m
FROM evse
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($3::INTEGER) AS anon_1), false) AND ST_DWithin(evse.geog, (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), $4::FLOAT(53), false) AND (evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1), evse.evse_id) > ($5::FLOAT(53), $6::VARCHAR COLLATE "C") ORDER BY evse.geog <-> (SELECT geography(ST_SetSRID(ST_MakePoint($1::FLOAT(53), $2::FLOAT(53)), 4326)) AS geography_1)
 FETCH FIRST ($7::BIGINT) ROWS WITH TIES) AS found ORDER BY found.distance_m, found.evse_id
 LIMIT $7::BIGINT;

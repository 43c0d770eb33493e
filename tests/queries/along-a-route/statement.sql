WITH places AS
(SELECT DISTINCT ON (shown_evse.evse_id) shown_evse.evse_id AS evse_id, shown_evse.ahead AS ahead, ST_Distance(shown_evse.geog, geography(ST_MakeLine(ST_SetSRID(ST_MakePoint(piece.west, piece.south), 4326), ST_SetSRID(ST_MakePoint(piece.east, piece.north), 4326))), false) AS distance_m, piece.start_m + piece.length_m * least(greatest(coalesce((((shown_evse.longitude - piece.west) - 360 * round((shown_evse.longitude - piece.west) / 360)) * cos(radians(piece.south)) * ((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) + (shown_evse.latitude - piece.south) * (piece.north - piece.south)) / nullif(((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) * ((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) + (piece.north - piece.south) * (piece.north - piece.south), 0), 0), 0), 1) AS along_route_m
FROM unnest($1::FLOAT(53)[], $2::FLOAT(53)[], $3::FLOAT(53)[], $4::FLOAT(53)[], $5::FLOAT(53)[], $6::FLOAT(53)[]) AS piece(west, south, east, north, start_m, length_m) JOIN shown_evse ON coalesce(shown_evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($7::INTEGER) AS anon_1))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND ST_DWithin(shown_evse.geog, geography(ST_MakeLine(ST_SetSRID(ST_MakePoint(piece.west, piece.south), 4326), ST_SetSRID(ST_MakePoint(piece.east, piece.north), 4326))), $8::FLOAT(53), false) ORDER BY shown_evse.evse_id, distance_m, along_route_m)
 SELECT found.along_route_m, found.distance_m, found.evse_id, found.location_id
FROM (SELECT row.location_id AS location_id, row.evse_id AS evse_id, page.distance_m AS distance_m, page.along_route_m AS along_route_m
FROM (SELECT places.evse_id AS evse_id, places.ahead AS ahead, places.distance_m AS distance_m, places.along_route_m AS along_route_m
FROM places ORDER BY places.along_route_m, places.evse_id
 LIMIT $9::BIGINT) AS page JOIN LATERAL (SELECT shown_evse.location_id AS location_id, shown_evse.evse_id AS evse_id
FROM shown_evse
WHERE shown_evse.evse_id = page.evse_id AND shown_evse.ahead = page.ahead
 LIMIT 1) AS row ON true) AS found ORDER BY found.along_route_m, found.evse_id
 LIMIT $9::BIGINT;

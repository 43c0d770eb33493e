WITH places AS
(SELECT DISTINCT ON (evse.evse_id) evse.evse_id AS evse_id, ST_Distance(evse.geog, geography(ST_MakeLine(ST_SetSRID(ST_MakePoint(piece.west, piece.south), 4326), ST_SetSRID(ST_MakePoint(piece.east, piece.north), 4326))), false) AS distance_m, piece.start_m + piece.length_m * least(greatest(coalesce((((evse.longitude - piece.west) - 360 * round((evse.longitude - piece.west) / 360)) * cos(radians(piece.south)) * ((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) + (evse.latitude - piece.south) * (piece.north - piece.south)) / nullif(((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) * ((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) + (piece.north - piece.south) * (piece.north - piece.south), 0), 0), 0), 1) AS along_route_m
FROM unnest($1::FLOAT(53)[], $2::FLOAT(53)[], $3::FLOAT(53)[], $4::FLOAT(53)[], $5::FLOAT(53)[], $6::FLOAT(53)[]) AS piece(west, south, east, north, start_m, length_m) JOIN evse ON coalesce(evse.operator_no = any(array((SELECT anon_1
FROM visible_operators($7::INTEGER) AS anon_1))), false) AND ST_DWithin(evse.geog, geography(ST_MakeLine(ST_SetSRID(ST_MakePoint(piece.west, piece.south), 4326), ST_SetSRID(ST_MakePoint(piece.east, piece.north), 4326))), $8::FLOAT(53), false) ORDER BY evse.evse_id, distance_m, along_route_m)
 SELECT found.along_route_m, found.distance_m, found.evse_id, found.location_id
FROM (SELECT evse.location_id AS location_id, evse.evse_id AS evse_id, page.distance_m AS distance_m, page.along_route_m AS along_route_m
FROM evse JOIN (SELECT places.evse_id AS evse_id, places.distance_m AS distance_m, places.along_route_m AS along_route_m
FROM places ORDER BY places.along_route_m, places.evse_id
 LIMIT $9::BIGINT) AS page ON evse.evse_id = page.evse_id) AS found ORDER BY found.along_route_m, found.evse_id
 LIMIT $9::BIGINT;

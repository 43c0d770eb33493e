WITH places AS
(SELECT DISTINCT ON (parking_spot.parking_id) parking_spot.parking_id AS parking_id, ST_Distance(parking_spot.geog, geography(ST_MakeLine(ST_SetSRID(ST_MakePoint(piece.west, piece.south), 4326), ST_SetSRID(ST_MakePoint(piece.east, piece.north), 4326))), false) AS distance_m, piece.start_m + piece.length_m * least(greatest(coalesce((((parking_spot.longitude - piece.west) - 360 * round((parking_spot.longitude - piece.west) / 360)) * cos(radians(piece.south)) * ((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) + (parking_spot.latitude - piece.south) * (piece.north - piece.south)) / nullif(((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) * ((piece.east - piece.west) - 360 * round((piece.east - piece.west) / 360)) * cos(radians(piece.south)) + (piece.north - piece.south) * (piece.north - piece.south), 0), 0), 0), 1) AS along_route_m
FROM unnest($1::FLOAT(53)[], $2::FLOAT(53)[], $3::FLOAT(53)[], $4::FLOAT(53)[], $5::FLOAT(53)[], $6::FLOAT(53)[]) AS piece(west, south, east, north, start_m, length_m) JOIN parking_spot ON coalesce(parking_spot.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false) AND ST_DWithin(parking_spot.geog, geography(ST_MakeLine(ST_SetSRID(ST_MakePoint(piece.west, piece.south), 4326), ST_SetSRID(ST_MakePoint(piece.east, piece.north), 4326))), $7::FLOAT(53), false) ORDER BY parking_spot.parking_id, distance_m, along_route_m)
 SELECT found.along_route_m, found.distance_m, found.parking_id
FROM (SELECT row.parking_id AS parking_id, page.distance_m AS distance_m, page.along_route_m AS along_route_m
FROM (SELECT places.parking_id AS parking_id, places.distance_m AS distance_m, places.along_route_m AS along_route_m
FROM places ORDER BY places.along_route_m, places.parking_id
 LIMIT $8::BIGINT) AS page JOIN LATERAL (SELECT parking_spot.parking_id AS parking_id
FROM parking_spot
WHERE parking_spot.parking_id = page.parking_id
 LIMIT 1) AS row ON true) AS found ORDER BY found.along_route_m, found.parking_id
 LIMIT $8::BIGINT;

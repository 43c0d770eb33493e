SELECT found.along_route_m, found.distance_m, found.evse_id, found.location_id
FROM (SELECT evse.location_id AS location_id, evse.evse_id AS evse_id, page.distance_m AS distance_m, page.along_route_m AS along_route_m
FROM evse JOIN (SELECT row.evse_id AS evse_id, row.distance_m AS distance_m, row.along_route_m AS along_route_m
FROM (SELECT 0 + ($1::FLOAT(53) - 0) * share.low AS low_m, 0 + ($1::FLOAT(53) - 0) * share.high AS high_m
FROM (VALUES (0.0::float8, 0.00390625::float8), (0.00390625::float8, 0.015625::float8), (0.015625::float8, 0.0625::float8), (0.0625::float8, 0.25::float8), (0.25::float8, 1.0::float8)) AS share (low, high) ORDER BY share.low) AS stretch JOIN LATERAL (SELECT found.evse_id AS evse_id, found.distance_m AS distance_m, found.along_route_m AS along_route_m
FROM (SELECT measured.evse_id AS evse_id, measured.distance_m AS distance_m, ST_InterpolatePoint(measured.line, measured.point) AS along_route_m
FROM (SELECT drawn.evse_id AS evse_id, drawn.line AS line, drawn.point AS point, ST_Distance(drawn.line, drawn.point) AS distance_m
FROM LATERAL (SELECT evse.evse_id AS evse_id, cell.line AS line, ST_MakePoint((12742017.542830119::float8 / (1 + sin(radians(cell.latitude)) * sin(radians(evse.latitude)) + cos(radians(cell.latitude)) * cos(radians(evse.latitude)) * cos(radians(evse.longitude - cell.longitude)))) * cos(radians(evse.latitude)) * sin(radians(evse.longitude - cell.longitude)), (12742017.542830119::float8 / (1 + sin(radians(cell.latitude)) * sin(radians(evse.latitude)) + cos(radians(cell.latitude)) * cos(radians(evse.latitude)) * cos(radians(evse.longitude - cell.longitude)))) * (cos(radians(cell.latitude)) * sin(radians(evse.latitude)) - sin(radians(cell.latitude)) * cos(radians(evse.latitude)) * cos(radians(evse.longitude - cell.longitude)))) AS point
FROM LATERAL (SELECT each.west AS west, each.south AS south, each.east AS east, each.north AS north, each.longitude AS longitude, each.latitude AS latitude, each.low_m AS low_m, each.high_m AS high_m, ST_GeomFromText(each.line) AS line
FROM unnest($2::FLOAT(53)[], $3::FLOAT(53)[], $4::FLOAT(53)[], $5::FLOAT(53)[], $6::FLOAT(53)[], $7::FLOAT(53)[], $8::FLOAT(53)[], $9::FLOAT(53)[], $10::TEXT[]) AS each(west, south, east, north, longitude, latitude, low_m, high_m, line)
WHERE each.low_m < stretch.high_m AND each.high_m >= stretch.low_m
 LIMIT ALL OFFSET 0) AS cell JOIN evse ON (geometry(evse.geog) && ST_MakeEnvelope(cell.west, cell.south, cell.east, cell.north, 4326)) AND evse.longitude >= cell.west AND evse.longitude < cell.east AND evse.latitude >= cell.south AND evse.latitude < cell.north
WHERE coalesce(evse.operator_no IN (SELECT anon_1
FROM visible_operators($11::INTEGER) AS anon_1), false)
 LIMIT ALL OFFSET 0) AS drawn
 LIMIT ALL OFFSET 0) AS measured
WHERE measured.distance_m <= $12::FLOAT(53)
 LIMIT ALL OFFSET 0) AS found
WHERE found.along_route_m >= stretch.low_m AND found.along_route_m < stretch.high_m ORDER BY found.along_route_m, found.evse_id
 LIMIT $13::BIGINT) AS row ON true
 LIMIT $13::BIGINT) AS page ON evse.evse_id = page.evse_id) AS found ORDER BY found.along_route_m, found.evse_id
 LIMIT $13::BIGINT;

SELECT found.along_route_m, found.distance_m, found.parking_id
FROM (SELECT parking_spot.parking_id AS parking_id, page.distance_m AS distance_m, page.along_route_m AS along_route_m
FROM parking_spot JOIN (SELECT row.parking_id AS parking_id, row.place_no AS place_no, row.distance_m AS distance_m, row.along_route_m AS along_route_m
FROM (SELECT 0 + ($1::FLOAT(53) - 0) * share.low AS low_m, 0 + ($1::FLOAT(53) - 0) * share.high AS high_m
FROM (VALUES (0.0::float8, 0.00390625::float8), (0.00390625::float8, 0.015625::float8), (0.015625::float8, 0.0625::float8), (0.0625::float8, 0.25::float8), (0.25::float8, 1.0::float8)) AS share (low, high) ORDER BY share.low) AS stretch JOIN LATERAL (SELECT first.parking_id AS parking_id, first.place_no AS place_no, first.distance_m AS distance_m, first.along_route_m AS along_route_m
FROM (SELECT found.parking_id AS parking_id, found.place_no AS place_no, found.distance_m AS distance_m, found.along_route_m AS along_route_m
FROM (SELECT measured.parking_id AS parking_id, measured.place_no AS place_no, measured.distance_m AS distance_m, ST_InterpolatePoint(measured.line, measured.point) AS along_route_m
FROM (SELECT drawn.parking_id AS parking_id, drawn.place_no AS place_no, drawn.line AS line, drawn.point AS point, ST_Distance(drawn.line, drawn.point) AS distance_m
FROM LATERAL (SELECT parking_place.parking_id AS parking_id, parking_place.place_no AS place_no, cell.line AS line, ST_MakePoint((12742017.542830119::float8 / (1 + sin(radians(cell.latitude)) * sin(radians(parking_place.latitude)) + cos(radians(cell.latitude)) * cos(radians(parking_place.latitude)) * cos(radians(parking_place.longitude - cell.longitude)))) * cos(radians(parking_place.latitude)) * sin(radians(parking_place.longitude - cell.longitude)), (12742017.542830119::float8 / (1 + sin(radians(cell.latitude)) * sin(radians(parking_place.latitude)) + cos(radians(cell.latitude)) * cos(radians(parking_place.latitude)) * cos(radians(parking_place.longitude - cell.longitude)))) * (cos(radians(cell.latitude)) * sin(radians(parking_place.latitude)) - sin(radians(cell.latitude)) * cos(radians(parking_place.latitude)) * cos(radians(parking_place.longitude - cell.longitude)))) AS point
FROM LATERAL (SELECT each.west AS west, each.south AS south, each.east AS east, each.north AS north, each.longitude AS longitude, each.latitude AS latitude, each.low_m AS low_m, each.high_m AS high_m, ST_GeomFromText(each.line) AS line
FROM unnest($2::FLOAT(53)[], $3::FLOAT(53)[], $4::FLOAT(53)[], $5::FLOAT(53)[], $6::FLOAT(53)[], $7::FLOAT(53)[], $8::FLOAT(53)[], $9::FLOAT(53)[], $10::TEXT[]) AS each(west, south, east, north, longitude, latitude, low_m, high_m, line)
WHERE each.low_m < stretch.high_m AND each.high_m >= stretch.low_m
 LIMIT ALL OFFSET 0) AS cell JOIN parking_place ON (geometry(parking_place.geog) && ST_MakeEnvelope(cell.west, cell.south, cell.east, cell.north, 4326)) AND parking_place.longitude >= cell.west AND parking_place.longitude < cell.east AND parking_place.latitude >= cell.south AND parking_place.latitude < cell.north
WHERE coalesce(parking_place.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false)
 LIMIT ALL OFFSET 0) AS drawn
 LIMIT ALL OFFSET 0) AS measured
WHERE measured.distance_m <= $11::FLOAT(53)
 LIMIT ALL OFFSET 0) AS found
WHERE NOT (EXISTS (SELECT 1
FROM LATERAL (SELECT other.place_no AS place_no, ST_GeomFromText(way.line) AS line, ST_MakePoint((12742017.542830119::float8 / (1 + sin(radians(way.latitude)) * sin(radians(other.latitude)) + cos(radians(way.latitude)) * cos(radians(other.latitude)) * cos(radians(other.longitude - way.longitude)))) * cos(radians(other.latitude)) * sin(radians(other.longitude - way.longitude)), (12742017.542830119::float8 / (1 + sin(radians(way.latitude)) * sin(radians(other.latitude)) + cos(radians(way.latitude)) * cos(radians(other.latitude)) * cos(radians(other.longitude - way.longitude)))) * (cos(radians(way.latitude)) * sin(radians(other.latitude)) - sin(radians(way.latitude)) * cos(radians(other.latitude)) * cos(radians(other.longitude - way.longitude)))) AS point
FROM parking_place AS other JOIN unnest($2::FLOAT(53)[], $3::FLOAT(53)[], $4::FLOAT(53)[], $5::FLOAT(53)[], $6::FLOAT(53)[], $7::FLOAT(53)[], $8::FLOAT(53)[], $9::FLOAT(53)[], $10::TEXT[]) AS way(west, south, east, north, longitude, latitude, low_m, high_m, line) ON (geometry(other.geog) && ST_MakeEnvelope(way.west, way.south, way.east, way.north, 4326)) AND other.longitude >= way.west AND other.longitude < way.east AND other.latitude >= way.south AND other.latitude < way.north
WHERE other.parking_id = found.parking_id AND other.place_no != found.place_no AND coalesce(other.operator_nos && array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended)), false)
 LIMIT ALL OFFSET 0) AS other_drawn
WHERE ST_Distance(other_drawn.line, other_drawn.point) <= $11::FLOAT(53) AND (ST_InterpolatePoint(other_drawn.line, other_drawn.point), other_drawn.place_no) < (found.along_route_m, found.place_no)
 LIMIT ALL OFFSET 0))) AS first
WHERE first.along_route_m >= stretch.low_m AND first.along_route_m < stretch.high_m ORDER BY first.along_route_m, first.parking_id
 LIMIT $12::BIGINT) AS row ON true
 LIMIT $12::BIGINT) AS page ON parking_spot.parking_id = page.parking_id) AS found ORDER BY found.along_route_m, found.parking_id
 LIMIT $12::BIGINT;

SELECT found.location_name, found.location_name_language, found.latitude, found.longitude, (SELECT coalesce(json_agg(json_build_array(evse_1.evse_id, coalesce((SELECT anon_3.value ->> 'status' AS anon_2
FROM json_array_elements(evse_1.status_schedule) WITH ORDINALITY AS anon_3(value, place)
WHERE CAST(anon_3.value ->> 'start' AS TIMESTAMP WITH TIME ZONE) <= $1::TIMESTAMP WITH TIME ZONE AND (CAST(anon_3.value ->> 'end' AS TIMESTAMP WITH TIME ZONE) IS NULL OR $1::TIMESTAMP WITH TIME ZONE < CAST(anon_3.value ->> 'end' AS TIMESTAMP WITH TIME ZONE)) ORDER BY CAST(anon_3.value ->> 'start' AS TIMESTAMP WITH TIME ZONE) DESC, anon_3.place DESC
 LIMIT 1), evse_1.static_status, 'UNKNOWN')) ORDER BY evse_1.evse_id), '[]') AS coalesce_1
FROM evse AS evse_1
WHERE evse_1.operator_no = found.operator_no AND evse_1.location_id = found.location_id) AS anon_1
FROM (SELECT location.location_name AS location_name, location.location_name_language AS location_name_language, location.latitude AS latitude, location.longitude AS longitude, location.operator_no AS operator_no, location.location_id AS location_id
FROM location
WHERE coalesce(location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND location.operator_no = (SELECT operator.no
FROM operator
WHERE operator.party_id = $2::VARCHAR COLLATE "C") AND location.location_id = $3::VARCHAR COLLATE "C") AS found;

SELECT found.location_name
FROM (SELECT location.location_name AS location_name
FROM location
WHERE coalesce(location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND location.operator_no = (SELECT operator.no
FROM operator
WHERE operator.party_id = $1::VARCHAR COLLATE "C") AND location.location_id = $2::VARCHAR COLLATE "C") AS found;

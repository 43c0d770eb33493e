SELECT found.location_name, found.location_name_language, found.latitude, found.longitude, (SELECT coalesce(json_agg(json_build_array(shown_evse_1.evse_id, coalesce((SELECT anon_3.value ->> 'status' AS anon_2
FROM json_array_elements(shown_evse_1.status_schedule) WITH ORDINALITY AS anon_3(value, place)
WHERE CAST(anon_3.value ->> 'start' AS TIMESTAMP WITH TIME ZONE) <= $1::TIMESTAMP WITH TIME ZONE AND (CAST(anon_3.value ->> 'end' AS TIMESTAMP WITH TIME ZONE) IS NULL OR $1::TIMESTAMP WITH TIME ZONE < CAST(anon_3.value ->> 'end' AS TIMESTAMP WITH TIME ZONE)) ORDER BY CAST(anon_3.value ->> 'start' AS TIMESTAMP WITH TIME ZONE) DESC, anon_3.place DESC
 LIMIT 1), shown_evse_1.static_status, 'UNKNOWN')) ORDER BY shown_evse_1.evse_id), '[]') AS coalesce_1
FROM shown_evse AS shown_evse_1
WHERE shown_evse_1.operator_no = found.operator_no AND shown_evse_1.location_id = found.location_id AND shown_evse_1.ahead = found.ahead) AS anon_1
FROM (SELECT shown_location.location_name AS location_name, shown_location.location_name_language AS location_name_language, shown_location.latitude AS latitude, shown_location.longitude AS longitude, shown_location.operator_no AS operator_no, shown_location.location_id AS location_id, shown_location.ahead AS ahead
FROM shown_location
WHERE coalesce(shown_location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_location.ahead = (shown_location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_location.operator_no = (SELECT operator.no
FROM operator
WHERE operator.party_id = $2::VARCHAR COLLATE "C") AND shown_location.location_id = $3::VARCHAR COLLATE "C") AS found;

SELECT found.location_name
FROM (SELECT shown_location.location_name AS location_name
FROM shown_location
WHERE coalesce(shown_location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_location.ahead = (shown_location.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_location.operator_no = (SELECT operator.no
FROM operator
WHERE operator.party_id = $1::VARCHAR COLLATE "C") AND shown_location.location_id = $2::VARCHAR COLLATE "C") AS found;

SELECT found.connector_standards, found.connector_formats, found.connector_tariff_ids, shown_location_1.location_name, found.city, found.latitude, found.zip_code, operator_1.name, operator_1.party_id, operator_1.open, found.opening_times
FROM (SELECT shown_evse.connector_standards AS connector_standards, shown_evse.connector_formats AS connector_formats, shown_evse.connector_tariff_ids AS connector_tariff_ids, shown_evse.city AS city, shown_evse.latitude AS latitude, shown_evse.zip_code AS zip_code, shown_evse.opening_times AS opening_times, shown_evse.operator_no AS operator_no, shown_evse.location_id AS location_id, shown_evse.ahead AS ahead
FROM shown_evse
WHERE coalesce(shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))) AND shown_evse.ahead = (shown_evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.ahead)))), false) AND shown_evse.evse_id = $1::VARCHAR COLLATE "C") AS found JOIN shown_location AS shown_location_1 ON found.operator_no = shown_location_1.operator_no AND found.location_id = shown_location_1.location_id AND found.ahead = shown_location_1.ahead JOIN operator AS operator_1 ON found.operator_no = operator_1.no;

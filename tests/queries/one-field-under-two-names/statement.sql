SELECT found.connector_standards, found.connector_formats, found.connector_tariff_ids, location_1.location_name, found.city, found.latitude, found.zip_code, operator_1.name, operator_1.party_id, operator_1.open, found.opening_times
FROM (SELECT evse.connector_standards AS connector_standards, evse.connector_formats AS connector_formats, evse.connector_tariff_ids AS connector_tariff_ids, evse.city AS city, evse.latitude AS latitude, evse.zip_code AS zip_code, evse.opening_times AS opening_times, evse.operator_no AS operator_no, evse.location_id AS location_id
FROM evse
WHERE coalesce(evse.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND evse.evse_id = $1::VARCHAR COLLATE "C") AS found JOIN location AS location_1 ON found.operator_no = location_1.operator_no AND found.location_id = location_1.location_id JOIN operator AS operator_1 ON found.operator_no = operator_1.no;

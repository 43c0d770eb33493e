-- row-level security knows who is asking
SELECT (SELECT coalesce(json_agg(json_build_array(individual_tariff_1.currency, individual_tariff_1.elements) ORDER BY individual_tariff_1.number), '[]') AS coalesce_1
FROM individual_tariff AS individual_tariff_1
WHERE individual_tariff_1.tariff_id = found.tariff_id AND individual_tariff_1.number = 0) AS anon_1
FROM (SELECT tariff.tariff_id AS tariff_id
FROM tariff
WHERE coalesce(tariff.operator_no = any(array((SELECT operator.no
FROM operator
WHERE operator.open AND NOT operator.suspended))), false) AND tariff.tariff_id = $1::VARCHAR COLLATE "C") AS found;

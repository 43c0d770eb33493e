-- row-level security knows who is asking
SELECT found.status, (SELECT coalesce(json_agg(json_build_array(contract_party_1.name) ORDER BY contract_party_1.id), '[]') AS coalesce_1
FROM (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1
WHERE contract_party_1.id IN (found.first_role_id, found.second_role_id)) AS anon_1, found.created_at, found.id
FROM (SELECT contract.status AS status, contract.first_role_id AS first_role_id, contract.second_role_id AS second_role_id, contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE contract.status = ANY ($1::TEXT[]) ORDER BY contract.created_at, contract.id
 LIMIT $2::BIGINT) AS found ORDER BY found.created_at, found.id
 LIMIT $2::BIGINT;

SELECT found.status, (SELECT coalesce(json_agg(json_build_array(contract_party_1.name) ORDER BY contract_party_1.id), '[]') AS coalesce_1
FROM (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1
WHERE contract_party_1.id IN (found.first_role_id, found.second_role_id)) AS anon_1, found.created_at, found.id
FROM (SELECT contract.status AS status, contract.first_role_id AS first_role_id, contract.second_role_id AS second_role_id, contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE contract.status = ANY ($1::TEXT[]) ORDER BY contract.created_at, contract.id
 LIMIT $2::BIGINT) AS found ORDER BY found.created_at, found.id
 LIMIT $2::BIGINT;

SELECT found.id, found.created_at
FROM (SELECT contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE contract.status = ANY ($1::TEXT[]) ORDER BY contract.created_at, contract.id
 LIMIT $2::BIGINT) AS found ORDER BY found.created_at, found.id
 LIMIT $2::BIGINT;

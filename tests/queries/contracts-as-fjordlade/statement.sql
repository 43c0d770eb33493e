-- row-level security knows who is asking
SELECT found.created_at, found.id, found.status, contract_party_1.name, contract_party_1.role, (SELECT coalesce(json_agg(json_build_array(contract_party_2.partner_id, contract_party_2.name, contract_party_2.role, contract_party_2.party_id) ORDER BY contract_party_2.id), '[]') AS coalesce_1
FROM (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_2
WHERE contract_party_2.id IN (found.first_role_id, found.second_role_id)) AS anon_1, found.valid_from, found.valid_until, found.updated_at
FROM (SELECT contract.status AS status, contract.valid_from AS valid_from, contract.valid_until AS valid_until, contract.updated_at AS updated_at, contract.proposed_by_role_id AS proposed_by_role_id, contract.first_role_id AS first_role_id, contract.second_role_id AS second_role_id, contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE contract.first_partner_id = $1::UUID OR contract.second_partner_id = $1::UUID ORDER BY contract.created_at, contract.id
 LIMIT $2::BIGINT) AS found JOIN (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1 ON found.proposed_by_role_id = contract_party_1.id ORDER BY found.created_at, found.id
 LIMIT $2::BIGINT;

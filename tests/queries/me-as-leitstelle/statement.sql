-- row-level security knows who is asking
SELECT found.role, found.party_id, partner_1.id, partner_1.name, partner_1.suspended_at, partner_1.last_upload_at, (SELECT coalesce(json_agg(json_build_array(partner_role_1.role, partner_role_1.party_id) ORDER BY partner_role_1.id), '[]') AS coalesce_1
FROM partner_role AS partner_role_1
WHERE partner_role_1.partner_id = partner_1.id AND partner_role_1.revoked_at IS NULL) AS anon_1, (SELECT coalesce(json_agg(json_build_array(api_key_1.id, api_key_1.prefix, replace(to_char(timezone('UTC', api_key_1.created_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), replace(to_char(timezone('UTC', api_key_1.expires_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), replace(to_char(timezone('UTC', api_key_1.revoked_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), partner_role_2.role, partner_role_2.party_id) ORDER BY api_key_1.created_at, api_key_1.id), '[]') AS coalesce_2
FROM api_key AS api_key_1 JOIN partner_role AS partner_role_2 ON api_key_1.role_id = partner_role_2.id
WHERE api_key_1.partner_id = partner_1.id) AS anon_2, (SELECT coalesce(json_agg(json_build_array(contract_1.id, contract_1.status, replace(to_char(timezone('UTC', contract_1.valid_from), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), replace(to_char(timezone('UTC', contract_1.valid_until), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), replace(to_char(timezone('UTC', contract_1.updated_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', ''), contract_party_1.name, contract_party_1.role, contract_party_1.party_id, (SELECT coalesce(json_agg(json_build_array(contract_party_2.partner_id, contract_party_2.name, contract_party_2.role, contract_party_2.party_id) ORDER BY contract_party_2.id), '[]') AS coalesce_4
FROM (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_2
WHERE contract_party_2.id IN (contract_1.first_role_id, contract_1.second_role_id))) ORDER BY contract_1.created_at, contract_1.id), '[]') AS coalesce_3
FROM contract AS contract_1 JOIN (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1 ON contract_1.proposed_by_role_id = contract_party_1.id
WHERE (contract_1.first_role_id = found.id OR contract_1.second_role_id = found.id) AND contract_1.status = $1::VARCHAR AND (contract_1.valid_from IS NULL OR contract_1.valid_from <= now()) AND (contract_1.valid_until IS NULL OR contract_1.valid_until > now()) AND NOT (EXISTS (SELECT partner_2.id
FROM partner AS partner_2
WHERE partner_2.id IN (contract_1.first_partner_id, contract_1.second_partner_id) AND partner_2.suspended_at IS NOT NULL))) AS anon_3
FROM (SELECT partner_role.role AS role, partner_role.party_id AS party_id, partner_role.partner_id AS partner_id, partner_role.id AS id
FROM partner_role
WHERE partner_role.id = $2::INTEGER) AS found JOIN partner AS partner_1 ON found.partner_id = partner_1.id;

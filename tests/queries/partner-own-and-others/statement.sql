-- row-level security knows who is asking
SELECT found.id, found.name, (SELECT coalesce(json_agg(json_build_array(partner_role_1.role, partner_role_1.party_id) ORDER BY partner_role_1.id), '[]') AS coalesce_1
FROM partner_role AS partner_role_1
WHERE partner_role_1.partner_id = found.id AND partner_role_1.revoked_at IS NULL AND partner_role_1.partner_id = $1::UUID) AS anon_1, (SELECT coalesce(json_agg(json_build_array(api_key_1.prefix) ORDER BY api_key_1.created_at, api_key_1.id), '[]') AS coalesce_2
FROM api_key AS api_key_1
WHERE api_key_1.partner_id = found.id AND api_key_1.partner_id = $1::UUID) AS anon_2
FROM (SELECT partner.id AS id, partner.name AS name
FROM partner
WHERE partner.id = $1::UUID AND partner.id = $2::UUID) AS found;

SELECT found.id, found.name, (SELECT coalesce(json_agg(json_build_array(partner_role_1.role, partner_role_1.party_id) ORDER BY partner_role_1.id), '[]') AS coalesce_1
FROM partner_role AS partner_role_1
WHERE partner_role_1.partner_id = found.id AND partner_role_1.revoked_at IS NULL AND partner_role_1.partner_id = $1::UUID) AS anon_1, (SELECT coalesce(json_agg(json_build_array(api_key_1.prefix) ORDER BY api_key_1.created_at, api_key_1.id), '[]') AS coalesce_2
FROM api_key AS api_key_1
WHERE api_key_1.partner_id = found.id AND api_key_1.partner_id = $1::UUID) AS anon_2
FROM (SELECT partner.id AS id, partner.name AS name
FROM partner
WHERE partner.id = $1::UUID AND partner.id = $2::UUID) AS found;

SELECT found.id, found.name, (SELECT coalesce(json_agg(json_build_array(partner_role_1.role, partner_role_1.party_id) ORDER BY partner_role_1.id), '[]') AS coalesce_1
FROM partner_role AS partner_role_1
WHERE partner_role_1.partner_id = found.id AND partner_role_1.revoked_at IS NULL AND partner_role_1.partner_id = $1::UUID) AS anon_1, (SELECT coalesce(json_agg(json_build_array(api_key_1.prefix) ORDER BY api_key_1.created_at, api_key_1.id), '[]') AS coalesce_2
FROM api_key AS api_key_1
WHERE api_key_1.partner_id = found.id AND api_key_1.partner_id = $1::UUID) AS anon_2
FROM (SELECT partner.id AS id, partner.name AS name
FROM partner
WHERE partner.id = $1::UUID AND partner.id = $2::UUID) AS found;

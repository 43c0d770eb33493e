-- row-level security knows who is asking
SELECT found.name, found.id, found.suspended_at, found.last_upload_at, (SELECT coalesce(json_agg(json_build_array(partner_role_1.role, partner_role_1.party_id) ORDER BY partner_role_1.id), '[]') AS coalesce_1
FROM partner_role AS partner_role_1
WHERE partner_role_1.partner_id = found.id AND partner_role_1.revoked_at IS NULL) AS anon_1, (SELECT coalesce(json_agg(json_build_array(api_key_1.prefix, partner_role_2.role, partner_role_2.party_id) ORDER BY api_key_1.created_at, api_key_1.id), '[]') AS coalesce_2
FROM api_key AS api_key_1 JOIN partner_role AS partner_role_2 ON api_key_1.role_id = partner_role_2.id
WHERE api_key_1.partner_id = found.id) AS anon_2
FROM (SELECT partner.suspended_at AS suspended_at, partner.last_upload_at AS last_upload_at, partner.name AS name, partner.id AS id
FROM partner
WHERE true ORDER BY partner.name, partner.id
 LIMIT $1::BIGINT) AS found ORDER BY found.name, found.id
 LIMIT $1::BIGINT;

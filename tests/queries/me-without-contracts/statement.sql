SELECT found.role, found.party_id, partner_1.name
FROM (SELECT partner_role.role AS role, partner_role.party_id AS party_id, partner_role.partner_id AS partner_id
FROM partner_role
WHERE partner_role.partner_id = $1::UUID AND partner_role.id = $2::INTEGER) AS found JOIN partner AS partner_1 ON found.partner_id = partner_1.id;

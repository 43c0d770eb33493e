SELECT found.name, found.id
FROM (SELECT partner.name AS name, partner.id AS id
FROM partner
WHERE (partner.name, partner.id) > ($1::VARCHAR, $2::UUID) ORDER BY partner.name, partner.id
 LIMIT $3::BIGINT) AS found ORDER BY found.name, found.id
 LIMIT $3::BIGINT;

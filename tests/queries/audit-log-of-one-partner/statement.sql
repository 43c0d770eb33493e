-- row-level security knows who is asking
SELECT found.id, found.action, found.subject, contract_party_1.name, contract_party_1.id AS id_1
FROM (SELECT audit_log.action AS action, audit_log.subject AS subject, audit_log.actor_role_id AS actor_role_id, audit_log.id AS id
FROM audit_log
WHERE $1::UUID = ANY (audit_log.partner_ids) ORDER BY audit_log.id
 LIMIT $2::BIGINT) AS found LEFT OUTER JOIN (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1 ON found.actor_role_id = contract_party_1.id ORDER BY found.id
 LIMIT $2::BIGINT;

SELECT found.id, found.at, found.action
FROM (SELECT audit_log.at AS at, audit_log.action AS action, audit_log.id AS id
FROM audit_log
WHERE audit_log.at >= $1::TIMESTAMP WITH TIME ZONE AND $2::UUID = ANY (audit_log.partner_ids) ORDER BY audit_log.id
 LIMIT $3::BIGINT) AS found ORDER BY found.id
 LIMIT $3::BIGINT;

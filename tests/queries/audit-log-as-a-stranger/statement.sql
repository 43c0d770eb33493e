-- row-level security knows who is asking
SELECT found.id, found.at, found.action, found.subject, found.subject_id, contract_party_1.name, contract_party_1.role, contract_party_1.party_id, contract_party_1.id AS id_1, found.details
FROM (SELECT audit_log.at AS at, audit_log.action AS action, audit_log.subject AS subject, audit_log.subject_id AS subject_id, audit_log.details AS details, audit_log.actor_role_id AS actor_role_id, audit_log.id AS id
FROM audit_log
WHERE false ORDER BY audit_log.id
 LIMIT $1::BIGINT) AS found LEFT OUTER JOIN (SELECT partner_role.id AS id, partner_role.partner_id AS partner_id, partner.name AS name, partner_role.role AS role, partner_role.party_id AS party_id
FROM partner_role JOIN partner ON partner.id = partner_role.partner_id) AS contract_party_1 ON found.actor_role_id = contract_party_1.id ORDER BY found.id
 LIMIT $1::BIGINT;

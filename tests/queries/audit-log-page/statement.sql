-- row-level security knows who is asking
SELECT found.id, found.action
FROM (SELECT audit_log.action AS action, audit_log.id AS id
FROM audit_log
WHERE (audit_log.id) > ($1::BIGINT) ORDER BY audit_log.id
 LIMIT $2::BIGINT) AS found ORDER BY found.id
 LIMIT $2::BIGINT;

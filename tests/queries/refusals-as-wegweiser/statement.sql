-- row-level security knows who is asking
SELECT found.id, found.at, found.operation, found.path, found.index, found.item_id, found.code, found.message
FROM (SELECT refusal.at AS at, refusal.operation AS operation, refusal.path AS path, refusal.index AS index, refusal.item_id AS item_id, refusal.code AS code, refusal.message AS message, refusal.id AS id
FROM refusal
WHERE refusal.partner_id = $1::UUID ORDER BY refusal.id DESC
 LIMIT $2::BIGINT) AS found ORDER BY found.id DESC
 LIMIT $2::BIGINT;

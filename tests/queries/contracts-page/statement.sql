-- row-level security knows who is asking
SELECT found.id, found.created_at
FROM (SELECT contract.created_at AS created_at, contract.id AS id
FROM contract
WHERE (contract.created_at, contract.id) > ($1::TIMESTAMP WITH TIME ZONE, $2::UUID) ORDER BY contract.created_at, contract.id
 LIMIT $3::BIGINT) AS found ORDER BY found.created_at, found.id
 LIMIT $3::BIGINT;

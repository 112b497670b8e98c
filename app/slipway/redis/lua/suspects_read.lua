--! needs: suspects
--! repeatable: yes
--! shard: thread
-- Reads which crash suspects of a shard execute. Whoever reclaims the runs of a worker needs those of all its shards.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: {worker, earlier crashes} of each.
-- Atomic: Changes nothing; all of it is of one moment.
-- Repeatable: Yes: it only reads.

return executing_suspects()

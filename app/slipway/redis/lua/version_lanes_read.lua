--! needs: versions
--! repeatable: yes
--! shard: thread
-- Reads the lanes of one shard.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: {{lane, 1 if a live worker serves its version else 0, number of jobs, ms since the first of them was due},
--   ...}.
-- Atomic: Changes nothing; all of it is of one moment.
-- Repeatable: Yes: it only reads.

return lanes_in_use()

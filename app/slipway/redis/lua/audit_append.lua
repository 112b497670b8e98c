--! needs: audit keys
--! repeatable: no
--! shard: thread
-- Appends an entry to the audit trail of a run that exists.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; run; action; actor; details, a JSON object.
-- Reply: {'ok'}; {'missing'}.
-- Atomic: Whether the run exists, and the entry.
-- Repeatable: No: a repetition appends the entry again.

if redis.call('EXISTS', key('run', ARGV[2])) == 0 then return {'missing'} end
append_audit(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
return {'ok'}

--! repeatable: yes
--! shard: thread
-- Replaces a JSON document, if nobody has changed it since it was read.
--
-- KEYS: the document.
-- ARGV: the SHA-1 of the document as it was read; the new document.
-- Reply: 1; 0 if it is another one, or does not exist any more.
-- Atomic: All of it. The document expires when it would have expired.
-- Repeatable: Yes: a repetition finds another document.

local stored = redis.call('JSON.GET', KEYS[1])
if not stored or redis.sha1hex(stored) ~= ARGV[1] then return 0 end
redis.call('JSON.SET', KEYS[1], '$', ARGV[2])
return 1

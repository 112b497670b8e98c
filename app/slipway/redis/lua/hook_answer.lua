--! needs: hook_deliveries keys
--! repeatable: yes
--! shard: hooks
-- Stores the answer to a delivery, unless it has one that stays.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `delivery`, `hook`, `state`, `status`, `retention_s`; the answer.
-- Reply: {status, answer}: those that are stored now.
-- Atomic: The record, its indexes and the counts.
-- Repeatable: Yes: a repetition replies the stored answer. It counts an error twice.

local args = cmsgpack.unpack(ARGV[2])
local record = key('hook_delivery', args.delivery)
local state, status, answer, received_us = unpack(redis.call('HMGET', record, 'state', 'answer_status', 'answer',
  'received_us'))
if not state then return {args.status, ARGV[3]} end -- its retention has ended
if ANSWERED_FOR_GOOD[state] then return {status, answer} end
set_hook_state(args.delivery, args.hook, received_us, state, args, ARGV[3])
return {args.status, ARGV[3]}

--! needs: audit clock keys metrics terms webhook_events
--! rare: are_checked call_approval decision_about delete_reviews forget_approval forget_editor end_reviews is_answered is_overdue open_reviews store_approval
-- Reviews: the records of the questions that waiting runs ask people. See `reviews/record.py`. The run has the ids of
-- its interrupts in the field `reviews`, and a review has the id `<run id>:<interrupt id>`.

-- A review in one of these states can still be decided, or its answer is not passed to the run yet.
local PENDING = {open = true, claimed = true, held = true}
-- The states in which a review can still be decided.
local UNDECIDED = {open = true, claimed = true}

-- The fields of a review that is still pending when its run continues, and whose question the next run asks again.
local KEPT = {'assignee', 'claimed_us', 'groups', 'votes', 'decision', 'answer', 'expires', 'due_us', 'remind_us',
  'escalate_us', 'follow_up_us', 'reminders', 'reminded_us', 'terms'}

local function notify_reviews(id)
  redis.call('PUBLISH', key('review_notifications'), id)
end

-- In the order of due times, a review without one comes after all others. No due time of this century is later.
local NO_DUE_US = 4e15

-- The score of an undecided review in the set of all of them, in the order of due times. `due_us` may be nil or false.
local function due_score(created_us, due_us)
  return integer_text(due_us and math.min(tonumber(due_us), NO_DUE_US - 1) or NO_DUE_US + created_us)
end

-- Moves a review from the set of one state to that of another; `before` is nil for a new one, and `due_us` nil or false
-- for one without a due time. The caller stores the state.
local function index_review_state(id, graph_id, created_us, due_us, before, after)
  if before then redis.call('ZREM', key('reviews_with', before), id) end
  redis.call('ZADD', key('reviews_with', after), created_us, id)
  if UNDECIDED[after] then
    local score = due_score(created_us, due_us)
    redis.call('ZADD', key('reviews_by_due'), score, id)
    redis.call('ZADD', key('reviews_of_graph', graph_id), score, id)
  else
    redis.call('ZREM', key('reviews_by_due'), id)
    redis.call('ZREM', key('reviews_of_graph', graph_id), id)
  end
end

-- Replaces the terms of a review in the index. Both are packed. The caller stores them.
local function index_review_terms(id, created_us, before, after)
  for i = 1, #before, TERM_LENGTH do
    local term = string.sub(before, i, i + TERM_LENGTH - 1)
    if not string.find(after, term, 1, true) then redis.call('ZREM', key('reviews_with', term), id) end
  end
  for i = 1, #after, TERM_LENGTH do
    redis.call('ZADD', key('reviews_with', string.sub(after, i, i + TERM_LENGTH - 1)), created_us, id)
  end
end

-- The first of the times of a review, as the score in ms of the set of timers. Nil if it has none. `times` are in µs,
-- and each may be nil or false.
local function first_time_ms(times)
  local first
  for i = 1, 4 do
    local time = tonumber(times[i] or nil)
    if time and (not first or time < first) then first = time end
  end
  return first and integer_text(math.floor(first / 1000))
end

-- Sets when the duty looks at a review again: at the first of its times.
local function set_review_timer(id, times)
  local first_ms = first_time_ms(times)
  if first_ms then
    redis.call('ZADD', key('reviews_due'), first_ms, id)
  else
    redis.call('ZREM', key('reviews_due'), id)
  end
end

-- Whether every question of a waiting run has an answer. `reviews` is the field of the run.
local function is_answered(run_id, reviews)
  for interrupt_id in string.gmatch(reviews, '%S+') do
    if redis.call('HGET', key('review', run_id .. ':' .. interrupt_id), 'state') ~= 'held' then return false end
  end
  return true
end

-- Copies what people did to a review of the run before, if its question is the same (`digest`) and was pending. Returns
-- the state that the new review `id` gets from it, or nil.
local function keep_review(earlier_id, id, digest)
  local earlier, record = key('review', earlier_id), key('review', id)
  local fields = redis.call('HMGET', earlier, 'was', 'digest', 'state', 'decision')
  if not PENDING[fields[1]] or fields[2] ~= digest or fields[3] ~= 'superseded' then return nil end
  redis.call('HDEL', record, unpack(KEPT))
  local kept = redis.call('HMGET', earlier, unpack(KEPT))
  for i, name in ipairs(KEPT) do
    if kept[i] then redis.call('HSET', record, name, kept[i]) end
  end
  redis.call('HSET', record, 'state', fields[1], 'asked_before', earlier_id)
  return fields[1]
end

-- Stores what people decided about a call of a tool: `runs.review_arguments.StoredApproval`. An edit removes an earlier
-- decision about the call that it wants, so edits cannot lead in a circle.
local function store_approval(approval)
  local name, call_key = key('thread_approvals', approval.thread_id), approval.call
  local edited_hash = approval.hash ~= approval.asked_hash and approval.asked_hash or nil
  redis.call('HSET', name, call_key, cmsgpack.pack({hash = approval.hash, count = approval.count, by = approval.by,
    review_id = approval.review_id, edited_by = approval.edited_by, edited_hash = edited_hash}))
  if approval.decision then redis.call('HSET', name, call_key .. ':' .. approval.asked_hash, approval.decision) end
  if edited_hash then redis.call('HDEL', name, call_key .. ':' .. approval.hash) end
end

-- What people decided about a call with this hash, if they did not approve it: `StoredApproval.decision`. Else false.
local function decision_about(thread_id, call_key, hash)
  return redis.call('HGET', key('thread_approvals', thread_id), call_key .. ':' .. hash)
end

-- Who approved a call of a tool with this hash: {hash, count, by (a list of names), review_id, perhaps edited_by and
-- edited_hash}. Nil if nobody did.
local function call_approval(thread_id, call_key, hash)
  local stored = redis.call('HGET', key('thread_approvals', thread_id), call_key)
  local approval = stored and cmsgpack.unpack(stored)
  return approval and approval.hash == hash and approval or nil
end

-- People must approve the call again: its tool is no longer what they approved.
local function forget_approval(thread_id, call_key)
  redis.call('HDEL', key('thread_approvals', thread_id), call_key)
end

-- Whoever edited a call has not approved the edited one: nobody has verified that the policy of that permits it.
local function forget_editor(thread_id, call_key, approval)
  approval.count, approval.by, approval.edited_hash = 0, {}, nil
  redis.call('HSET', key('thread_approvals', thread_id), call_key, cmsgpack.pack(approval))
end

-- What an earlier review of the same call decided, if its hash is the same: that of an edited call. Whoever edited it
-- has approved it, unless the policy demands another person.
local function keep_approval(thread_id, id, asked)
  local record, approval = key('review', id), call_approval(thread_id, asked.call, asked.hash)
  if not approval then return end
  if approval.edited_by then redis.call('HSET', record, 'edited_by', approval.edited_by) end
  local votes = {}
  for i, name in ipairs(approval.by) do
    votes[i] = {by = name, decisions = {{kind = 'approve'}}, digest = asked.approving}
  end
  if #votes > 0 then redis.call('HSET', record, 'votes', cjson.encode(votes)) end
end

-- Opens the reviews of a run that begins to wait, and continues the run `continued` (or nil). `reviews` is a list of
-- maps: see `runs.review_arguments.NewReview`. The question of each, as it is stored, is in ARGV from index `first` on.
local function open_reviews(run_id, thread_id, continued, reviews, first)
  local ids, guarded, answered = {}, 0, true
  for i, new in ipairs(reviews) do
    local id = run_id .. ':' .. new.interrupt_id
    local record = key('review', id)
    redis.call('HSET', record, 'question', ARGV[first + i - 1], 'state', 'open', 'created_us', now_us, 'updated_us',
      now_us, 'revision', 0, 'digest', new.digest, 'terms', new.terms, unpack(new.fields))
    for name, delay_ms in pairs(new.delays_ms) do
      redis.call('HSET', record, name, integer_text((now_ms + delay_ms) * 1000))
    end
    if new.asked then keep_approval(thread_id, id, new.asked) end
    local state = continued and keep_review(continued .. ':' .. new.interrupt_id, id, new.digest) or 'open'
    local fields = redis.call('HMGET', record, 'due_us', 'remind_us', 'escalate_us', 'follow_up_us', 'terms',
      'graph_id')
    redis.call('ZADD', key('reviews'), now_us, id)
    index_review_state(id, fields[6], now_us, fields[1], nil, state)
    index_review_terms(id, now_us, '', fields[5])
    if state ~= 'held' then
      set_review_timer(id, fields)
      answered = false
    end
    append_audit(run_id, 'review.opened', 'slipway', new.opened)
    emit_review('opened', id)
    if new.guarded then guarded = 1 end
    ids[i] = new.interrupt_id
    notify_reviews(id)
  end
  redis.call('HSET', key('run', run_id), 'reviews', table.concat(ids, ' '), 'guarded', guarded)
  if answered then redis.call('ZADD', key('reviews_ready'), integer_text(now_ms), run_id) end
end

-- Ends the reviews of a run that waits no more. `reviews` is the field of the run, `why` a sentence, `next_run` the run
-- that continues the thread, or nil. That run has the held answers if `takes_held`, and `answers` (by interrupt id) of
-- its own: see `runs.review_arguments.CheckedAnswer`.
local function end_reviews(run_id, reviews, why, next_run, takes_held, answers)
  redis.call('ZREM', key('reviews_ready'), run_id)
  for interrupt_id in string.gmatch(reviews, '%S+') do
    local id = run_id .. ':' .. interrupt_id
    local record = key('review', id)
    local state, created_us, expires, graph_id = unpack(redis.call('HMGET', record, 'state', 'created_us', 'expires',
      'graph_id'))
    if PENDING[state] then
      local answer, after = answers and answers[interrupt_id], 'superseded'
      if answer then
        after = 'decided'
        redis.call('HSET', record, unpack(answer.fields))
        append_audit(run_id, answer.audit.action, answer.audit.actor, answer.audit.details)
        if answer.approval then store_approval(answer.approval) end
      elseif takes_held and state == 'held' then
        after = expires and 'expired' or 'decided'
      else
        append_audit(run_id, 'review.superseded', 'slipway', cjson.encode({review_id = id, reason = why}))
      end
      if UNDECIDED[state] then count_review(graph_id, after, created_us) end
      redis.call('HSET', record, 'state', after, 'was', state, 'reason', why, 'updated_us', now_us)
      if next_run then redis.call('HSET', record, 'resumed_by', next_run) end
      redis.call('HINCRBY', record, 'revision', 1)
      if answer then emit_review('decided', id) end
      redis.call('ZREM', key('reviews_due'), id)
      index_review_state(id, graph_id, created_us, nil, state, after)
      notify_reviews(id)
    end
  end
end

-- Deletes the reviews of a run whose record is deleted. `reviews` is the field of the run.
local function delete_reviews(run_id, reviews)
  redis.call('ZREM', key('reviews_ready'), run_id)
  for interrupt_id in string.gmatch(reviews, '%S+') do
    local id = run_id .. ':' .. interrupt_id
    local fields = redis.call('HMGET', key('review', id), 'state', 'created_us', 'terms', 'graph_id')
    if fields[1] then
      redis.call('ZREM', key('reviews_with', fields[1]), id)
      index_review_terms(id, fields[2], fields[3], '')
      redis.call('ZREM', key('reviews'), id)
      redis.call('ZREM', key('reviews_due'), id)
      redis.call('ZREM', key('reviews_by_due'), id)
      redis.call('ZREM', key('reviews_of_graph', fields[4]), id)
      redis.call('DEL', key('review', id))
      notify_reviews(id)
    end
  end
end

-- Whether the due time of a review has come before anybody decided it.
local function is_overdue(id)
  local fields = redis.call('HMGET', key('review', id), 'state', 'due_us')
  return UNDECIDED[fields[1]] and fields[2] and tonumber(fields[2]) <= now_us
end

-- Whether the answers of a new run were checked against the reviews of the waiting run as they are now. `checked` is
-- `runs.review_arguments.CheckedAnswers` or nil. A held answer can only be passed on, and none can be given after its
-- due time.
local function are_checked(run_id, reviews, checked)
  if not checked or checked.run_id ~= run_id then return false end
  if checked.held then return is_answered(run_id, reviews) end
  for interrupt_id, revision in pairs(checked.revisions) do
    local fields = redis.call('HMGET', key('review', run_id .. ':' .. interrupt_id), 'state', 'revision', 'due_us')
    if not UNDECIDED[fields[1]] then return false end
    if fields[2] ~= revision or (fields[3] and tonumber(fields[3]) <= now_us) then return false end
  end
  return true
end

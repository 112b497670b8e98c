--! needs: keys terms
-- The indexes of assistants: one sorted set for each graph and each index term of the metadata, scored by creation time
-- in µs, and one for each order. An order of texts has members `<text>\0<id>`.

-- Adds an assistant. `content` is that of its current version.
local function index_assistant(assistant_id, created_us, updated_us, content)
  local terms = content.terms or ANY_METADATA
  redis.call('ZADD', key('assistants'), created_us, assistant_id)
  redis.call('ZADD', key('graph_assistants', content.graph_id), created_us, assistant_id)
  for i = 1, #terms, TERM_LENGTH do
    redis.call('ZADD', key('assistants_with', string.sub(terms, i, i + TERM_LENGTH - 1)), created_us, assistant_id)
  end
  redis.call('ZADD', key('assistants_by', 'updated_at'), updated_us, assistant_id)
  redis.call('ZADD', key('assistants_by', 'assistant_id'), 0, assistant_id)
  redis.call('ZADD', key('assistants_by', 'name'), 0, content.name .. '\0' .. assistant_id)
  redis.call('ZADD', key('assistants_by', 'graph_id'), 0, content.graph_id .. '\0' .. assistant_id)
end

-- Removes an assistant, of which `content` was the current version.
local function unindex_assistant(assistant_id, content)
  local terms = content.terms or ANY_METADATA
  redis.call('ZREM', key('assistants'), assistant_id)
  redis.call('ZREM', key('graph_assistants', content.graph_id), assistant_id)
  for i = 1, #terms, TERM_LENGTH do
    redis.call('ZREM', key('assistants_with', string.sub(terms, i, i + TERM_LENGTH - 1)), assistant_id)
  end
  redis.call('ZREM', key('assistants_by', 'updated_at'), assistant_id)
  redis.call('ZREM', key('assistants_by', 'assistant_id'), assistant_id)
  redis.call('ZREM', key('assistants_by', 'name'), content.name .. '\0' .. assistant_id)
  redis.call('ZREM', key('assistants_by', 'graph_id'), content.graph_id .. '\0' .. assistant_id)
end

--! needs: keys terms
-- The indexes of assistants: one sorted set for each graph and each index term of the metadata, scored by creation time
-- in µs, and one for each order. An order of texts has members `<text>\0<id>`.

-- The entries of an assistant: {key of the set, member, score} of each. `content` is that of its current version.
local function assistant_entries(assistant_id, created_us, updated_us, content)
  local entries = {
    {key('assistants'), assistant_id, created_us},
    {key('graph_assistants', content.graph_id), assistant_id, created_us},
    {key('assistants_by', 'updated_at'), assistant_id, updated_us},
    {key('assistants_by', 'assistant_id'), assistant_id, 0},
    {key('assistants_by', 'name'), content.name .. '\0' .. assistant_id, 0},
    {key('assistants_by', 'graph_id'), content.graph_id .. '\0' .. assistant_id, 0},
  }
  local terms = content.terms or ANY_METADATA
  for i = 1, #terms, TERM_LENGTH do
    local term = string.sub(terms, i, i + TERM_LENGTH - 1)
    entries[#entries + 1] = {key('assistants_with', term), assistant_id, created_us}
  end
  return entries
end

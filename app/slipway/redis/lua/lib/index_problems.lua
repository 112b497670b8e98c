-- The problems that a check of indexes finds: {problem, id} of each.
local index_problems = {}

-- Records a problem. Returns whether to repair it.
local function record_index_problem(problem, id, repair)
  index_problems[#index_problems + 1] = {problem, id}
  return repair
end

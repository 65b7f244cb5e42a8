local delta, is_strict = tonumber(ARGV[own + 2]), ARGV[own + 3] == '1'
return change(ARGV[own + 1], function(w)
  if is_strict and delta > 0 and w.max - w.cur < delta then return {'no capacity'} end
  add_tasks(w, delta)
end)

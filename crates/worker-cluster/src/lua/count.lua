local id, delta = ARGV[own + 1], tonumber(ARGV[own + 2])
local w = load(id)
if not w then
  expired(id)
  return NOT_FOUND
end
if ARGV[own + 3] == '1' and delta > 0 and w.max - w.cur < delta then return {'no capacity'} end
add_tasks(w, delta)
save(w)
return {'ok'}

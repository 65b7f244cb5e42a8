local id = ARGV[own + 1]
local w = load(id)
if not w then
  expired(id)
  return NOT_FOUND
end
w.ok = tonumber(ARGV[own + 2]) or w.ok
w.bad = tonumber(ARGV[own + 3]) or w.bad
w.avg = tonumber(ARGV[own + 4]) or w.avg
save(w)
return {'ok'}

local id = ARGV[own + 1]
local w = load(id)
if not w then
  expired(id)
  return NOT_FOUND
end
w.draining = ARGV[own + 2] == '1'
save(w)
return {'ok'}

local id = ARGV[own + 1]
local w = load(id)
if not w then
  expired(id)
  return NOT_FOUND
end
complete(w, ARGV[own + 2] == '1', tonumber(ARGV[own + 3]))
add_tasks(w, -1)
save(w)
return {'ok'}

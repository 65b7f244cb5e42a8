local id = ARGV[own + 1]
local w = load(id)
if not w then
  expired(id)
  return NOT_FOUND
end
local before = w.hs
w.hb, w.hs = now, '0'
redis.call('ZADD', base .. ':hb', text(now), id)
save(w)
if before ~= '0' then emit('t', 'health', 'id', id, 'from', before, 'to', '0') end
return {'ok'}

-- Own arguments: '1' to remove nobody. Looks at a part only, so that others are not kept waiting; the first result says
-- whether there is more.
local PART = 500
local keeps_all = ARGV[own + 1] == '1'
expire_reservations()
local removed, looked_at = {}, 0
-- Those whose last heartbeat is too old, and those whose record has expired, which have the oldest heartbeats too.
local silent = redis.call('ZRANGEBYSCORE', base .. ':hb', '-inf', '(' .. text(now - healthy_age), 'LIMIT',
  tonumber(ARGV[own + 2]), PART)
for _, id in ipairs(silent) do
  looked_at = looked_at + 1
  local w = load(id)
  if not w then
    expired(id)
  else
    local h = health(w)
    if tostring(h) ~= w.hs then
      emit('t', 'health', 'id', id, 'from', w.hs, 'to', tostring(h))
      w.hs = tostring(h)
      save(w, true)
    end
    if h == 2 and not keeps_all then
      forget(id)
      announce_gone(id, 'cleanup')
      removed[#removed + 1] = id
    end
  end
end
-- Those that are still there are passed over by the next call.
local left = 0
for _, id in ipairs(silent) do
  if redis.call('ZSCORE', base .. ':hb', id) then left = left + 1 end
end
return {#silent == PART and 'more' or 'ok', left, removed}

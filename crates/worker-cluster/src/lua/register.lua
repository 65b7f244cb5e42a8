local id, node, caps, max, event, extra = ARGV[own + 1], ARGV[own + 2], ARGV[own + 3], ARGV[own + 4], ARGV[own + 5], ARGV[own + 6]
if ARGV[own + 7] == '1' then
  for _, other in ipairs(redis.call('ZRANGE', base .. ':ids', 0, -1)) do
    if redis.call('HGET', worker_key(other), 'node') == node then
      forget(other)
      announce_gone(other, 'explicit')
    end
  end
end
forget(id)
local n = redis.call('INCR', base .. ':n')
redis.call('HSET', worker_key(id), 'id', id, 'n', n, 'node', node, 'caps', caps, 'max', max, 'st', text(now),
  'extra', extra)
redis.call('HSET', base .. ':i', id, n .. '|' .. caps)
redis.call('ZADD', base .. ':ids', n, id)
redis.call('ZADD', base .. ':hb', text(now), id)
for _, capability in ipairs(unpack_texts(caps)) do
  redis.call('SADD', base .. ':k:' .. capability, id)
end
save({id = id, n = n, caps = caps, max = tonumber(max), cur = 0, hb = now, ok = 0, bad = 0, avg = 0, hs = '0',
  draining = false})
store_event('worker-registered', event)
emit('t', 'registered', 'id', id)
return {'ok', text(now), record(id)}

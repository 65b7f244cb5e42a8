-- Own arguments: id, '1' if the value is a record, then the value; or node, capabilities, slots, tasks, heartbeat, start,
-- completed, failed, mean duration, health, draining, further fields.
local id = ARGV[own + 1]
if ARGV[own + 2] == '0' then
  forget(id)
  redis.call('SET', base .. ':x:' .. id, ARGV[own + 3])
  if ttl > 0 then redis.call('PEXPIRE', base .. ':x:' .. id, ttl) end
  redis.call('SADD', base .. ':bad', id)
  return {'ok'}
end
local function arg(i) return ARGV[own + 2 + i] end
local entry = redis.call('HGET', base .. ':i', id)
local n = entry and string.match(entry, '^(%d+)|') or redis.call('INCR', base .. ':n')
forget(id)
local caps = arg(2)
redis.call('HSET', worker_key(id), 'id', id, 'n', n, 'node', arg(1), 'caps', caps, 'max', arg(3), 'st', arg(6),
  'extra', arg(12))
redis.call('HSET', base .. ':i', id, n .. '|' .. caps)
redis.call('ZADD', base .. ':ids', n, id)
redis.call('ZADD', base .. ':hb', arg(5), id)
for _, capability in ipairs(unpack_texts(caps)) do
  redis.call('SADD', base .. ':k:' .. capability, id)
end
save({id = id, n = n, caps = caps, max = tonumber(arg(3)), cur = tonumber(arg(4)), hb = tonumber(arg(5)),
  ok = tonumber(arg(7)), bad = tonumber(arg(8)), avg = tonumber(arg(9)), hs = arg(10), draining = arg(11) == '1'}, true)
if ttl > 0 then redis.call('PEXPIRE', worker_key(id), ttl) end
return {'ok'}

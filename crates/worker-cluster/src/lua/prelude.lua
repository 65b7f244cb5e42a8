-- What all scripts of the registry share. KEYS[1] is the common start of all keys.
-- ARGV: weights of capacity, success and speed, factor for degraded workers, greatest ages of the heartbeat of a
-- healthy and of a degraded worker, time to live of a record, the date for events, then the script's own.
local base = KEYS[1]
local weights = {tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])}
local penalty = tonumber(ARGV[4])
local healthy_age, degraded_age = tonumber(ARGV[5]), tonumber(ARGV[6])
local ttl, date = tonumber(ARGV[7]), ARGV[8]
local own = 8
local EVENT_TTL = 60000
local NOT_FOUND = {'not found'}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Numbers as text without loss.
local function text(number)
  return string.format('%.17g', number)
end

-- Between 0 and 1; what is no number becomes 0.
local function score(value)
  if value > 0 then return math.min(value, 1) end
  return 0
end

-- Texts one after the other, each with its length before it.
local function unpack_texts(packed)
  local texts, at = {}, 1
  while at <= #packed do
    local colon = string.find(packed, ':', at, true)
    local length = tonumber(string.sub(packed, at, colon - 1))
    texts[#texts + 1] = string.sub(packed, colon + 1, colon + length)
    at = colon + length + 1
  end
  return texts
end

local function worker_key(id)
  return base .. ':w:' .. id
end

-- A worker, or nil.
local function load(id)
  local f = redis.call('HMGET', worker_key(id), 'n', 'caps', 'max', 'cur', 'hb', 'ok', 'bad', 'avg', 'hs', 'dr')
  if not f[1] then return nil end
  return {
    id = id, n = f[1], caps = f[2], max = tonumber(f[3]), cur = tonumber(f[4]), hb = tonumber(f[5]),
    ok = tonumber(f[6]), bad = tonumber(f[7]), avg = tonumber(f[8]), hs = f[9], draining = f[10] == '1',
  }
end

local function health(w)
  local age = now - w.hb
  if age <= healthy_age then return 0 end
  if age <= degraded_age then return 1 end
  return 2
end

local function priority(w)
  local capacity, success, speed = 0, 1, 1
  if w.max > 0 then capacity = score((w.max - w.cur) / w.max) end
  if w.ok + w.bad ~= 0 then success = score(w.ok / (w.ok + w.bad)) end
  if w.avg > 0 then speed = score(1 / (w.avg / 1000)) end
  return capacity * weights[1] + success * weights[2] + speed * weights[3]
end

-- The name of a worker in the sets of workers with a free slot. Among equal priorities fewer tasks come first, then
-- earlier registrations. The hash `:m` has the names, since they change.
local NAME_LENGTH = 26
local function member(w)
  return string.format('%010d:%014d:', math.min(w.cur, 1e9), w.n) .. w.id
end

local function remove_name(name, caps)
  redis.call('ZREM', base .. ':c:', name)
  for _, capability in ipairs(unpack_texts(caps)) do
    redis.call('ZREM', base .. ':c:' .. capability, name)
  end
end

local function take_out(id, caps)
  local name = redis.call('HGET', base .. ':m', id)
  if not name then return end
  redis.call('HDEL', base .. ':m', id)
  remove_name(name, caps)
end

-- Puts a worker where acquire looks for it, or takes it out.
local function index(w)
  if w.draining or w.max - w.cur < 1 or health(w) == 2 then
    take_out(w.id, w.caps)
    return
  end
  local name, rank = member(w), text(-priority(w))
  local before = redis.call('HGET', base .. ':m', w.id)
  if before ~= name then
    if before then remove_name(before, w.caps) end
    redis.call('HSET', base .. ':m', w.id, name)
  end
  redis.call('ZADD', base .. ':c:', rank, name)
  for _, capability in ipairs(unpack_texts(w.caps)) do
    redis.call('ZADD', base .. ':c:' .. capability, rank, name)
  end
end

-- Writes what may have changed. Without `keep` the record lives anew.
local function save(w, keep)
  redis.call('HSET', worker_key(w.id), 'cur', text(w.cur), 'hb', text(w.hb), 'ok', text(w.ok), 'bad', text(w.bad),
    'avg', text(w.avg), 'hs', w.hs, 'dr', w.draining and '1' or '0')
  if not keep then redis.call('PEXPIRE', worker_key(w.id), ttl) end
  index(w)
end

local function emit(...)
  redis.call('XADD', base .. ':ev', 'MAXLEN', '~', 10000, '*', ...)
end

-- A record of an event for those who read keys. Two of one kind in a millisecond get different keys.
local function store_event(kind, json)
  local first = base .. ':s:task-sentinel/events/' .. kind .. '/' .. now
  local key, clashes = first, 0
  while not redis.call('SET', key, json, 'PX', EVENT_TTL, 'NX') do
    clashes = clashes + 1
    key = first .. '-' .. clashes
  end
end

-- Tells that a worker is gone.
local function announce_gone(id, reason)
  store_event('worker-unregistered',
    '{"type":"worker-unregistered","workerId":' .. cjson.encode(id) .. ',"timestamp":"' .. date .. '"}')
  emit('t', 'gone', 'id', id, 'r', reason)
end

-- Removes a worker from everywhere. False: it was nowhere.
local function forget(id)
  local entry = redis.call('HGET', base .. ':i', id)
  redis.call('DEL', worker_key(id), base .. ':x:' .. id)
  redis.call('SREM', base .. ':bad', id)
  if not entry then return false end
  local bar = string.find(entry, '|', 1, true)
  local caps = string.sub(entry, bar + 1)
  redis.call('HDEL', base .. ':i', id)
  redis.call('ZREM', base .. ':ids', id)
  redis.call('ZREM', base .. ':hb', id)
  for _, capability in ipairs(unpack_texts(caps)) do
    redis.call('SREM', base .. ':k:' .. capability, id)
  end
  take_out(id, caps)
  return true
end

-- A worker whose record has expired. Whoever meets it first removes it, so it is told of once.
local function expired(id)
  if forget(id) then announce_gone(id, 'ttl') end
end

local function add_tasks(w, delta)
  w.cur = math.max(0, w.cur + delta)
end

local function complete(w, success, duration)
  local ended = w.ok + w.bad
  w.avg = (w.avg * ended + duration) / (ended + 1)
  if success then w.ok = w.ok + 1 else w.bad = w.bad + 1 end
end

-- The worker that a token belongs to.
local function worker_of(token)
  return string.match(token, '^(.*)/[^/]*$')
end

-- A reservation: slots, lease in milliseconds, end, owner.
local function reservation(token)
  local packed = redis.call('HGET', base .. ':rd', token)
  if not packed then return nil end
  local f = unpack_texts(packed)
  return {count = tonumber(f[1]), lease = tonumber(f[2]), ends = tonumber(f[3]), owner = f[4]}
end

local function pack(value)
  return #value .. ':' .. value
end

local function reserve(token, r)
  redis.call('HSET', base .. ':rd', token,
    pack(text(r.count)) .. pack(text(r.lease)) .. pack(text(r.ends)) .. pack(r.owner))
  redis.call('ZADD', base .. ':rv', text(r.ends), token)
end

local function end_reservation(token)
  redis.call('HDEL', base .. ':rd', token)
  redis.call('ZREM', base .. ':rv', token)
end

-- Gives the slots of reservations back whose time is over.
local function expire_reservations()
  local over = redis.call('ZRANGEBYSCORE', base .. ':rv', '-inf', text(now), 'LIMIT', 0, 1000)
  for _, token in ipairs(over) do
    local held = reservation(token)
    end_reservation(token)
    local w = load(worker_of(token))
    if held and w then
      add_tasks(w, -held.count)
      save(w, true)
    end
  end
end

-- Changes one worker and writes it. `apply` may return a result, and then nothing is written.
local function change(id, apply)
  local w = load(id)
  if not w then
    expired(id)
    return NOT_FOUND
  end
  local result = apply(w)
  if result then return result end
  save(w)
  return {'ok'}
end

-- What a caller gets to see of a worker.
local function record(id)
  return redis.call('HGETALL', worker_key(id))
end

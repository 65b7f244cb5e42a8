-- Own arguments: slots, least free slots, wanted healths as bits, nonce of a lease ('': none), lease, owner, then the
-- capabilities.
-- The first worker is usually the one, so the first page is small.
local FIRST_PAGE, LAST_PAGE, TIES = 4, 64, 64
local count = tonumber(ARGV[own + 1])
local least = math.max(count, tonumber(ARGV[own + 2]) or count)
local wanted_health = tonumber(ARGV[own + 3])
local nonce, lease, owner = ARGV[own + 4], tonumber(ARGV[own + 5]), ARGV[own + 6]
expire_reservations()

local rarest, size = nil, nil
for i = own + 7, #ARGV do
  local length = redis.call('ZCARD', base .. ':c:' .. ARGV[i])
  if length == 0 and wanted_health < 4 then return {'none'} end
  if not size or length < size then rarest, size = i, length end
end
local smallest = base .. ':c:' .. (rarest and ARGV[rarest] or '')

local function is_wanted(h)
  return math.floor(wanted_health / 2 ^ h) % 2 == 1
end

local function effective(w, h)
  local p = priority(w)
  if h == 1 then p = p * penalty end
  return p
end

-- Higher priority, then better health, then fewer tasks, then earlier registration.
local function is_better(w, than)
  if not than then return true end
  if w.priority ~= than.priority then return w.priority > than.priority end
  if w.health ~= than.health then return w.health < than.health end
  if w.cur ~= than.cur then return w.cur < than.cur end
  return tonumber(w.n) < tonumber(than.n)
end

local function has_all(id)
  for i = own + 7, #ARGV do
    -- Whoever is met in a set of free workers has that capability.
    local is_known = i == rarest and wanted_health < 4
    if not is_known and redis.call('SISMEMBER', base .. ':k:' .. ARGV[i], id) == 0 then return false end
  end
  return true
end

local best = nil
local function consider(id)
  local w = load(id)
  if not w then
    expired(id)
    return
  end
  w.health = health(w)
  if w.health == 2 and wanted_health < 4 then
    take_out(w.id, w.caps)
    return
  end
  if w.draining or w.max - w.cur < least or not is_wanted(w.health) or not has_all(id) then return end
  w.priority = effective(w, w.health)
  if is_better(w, best) then best = w end
end

if wanted_health >= 4 then
  -- Unhealthy workers are in no set of workers with a free slot.
  for _, id in ipairs(redis.call('ZRANGE', base .. ':ids', 0, -1)) do consider(id) end
else
  local at, size_of_page, ties, done = 0, FIRST_PAGE, 0, false
  while not done do
    local page = redis.call('ZRANGE', smallest, at, at + size_of_page - 1, 'WITHSCORES')
    local before = redis.call('ZCARD', smallest)
    size_of_page = math.min(size_of_page * 2, LAST_PAGE)
    if #page == 0 then break end
    for i = 1, #page, 2 do
      local top = -tonumber(page[i + 1])
      -- Behind a healthy worker nobody is better; behind a degraded one a healthy one of the same priority is, or,
      -- since the order is by the priority without the factor for degraded workers, one of a higher priority.
      local is_over = best
        and (best.health == 0 or top < best.priority or (top == best.priority and ties >= TIES))
      if is_over then
        done = true
        break
      end
      if best then ties = ties + 1 end
      consider(string.sub(page[i], NAME_LENGTH + 1))
    end
    -- Some of the page may have been taken out.
    at = at + #page / 2 - (before - redis.call('ZCARD', smallest))
  end
end
if not best then return {'none'} end

add_tasks(best, count)
save(best)
local token, ends = '', ''
if nonce ~= '' then
  token, ends = best.id .. '/' .. nonce, now + lease
  reserve(token, {count = count, lease = lease, ends = ends, owner = owner})
  ends = text(ends)
end
return {'ok', text(now), record(best.id), token, ends}

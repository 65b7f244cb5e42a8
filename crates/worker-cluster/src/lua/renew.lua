local token, lease = ARGV[own + 1], tonumber(ARGV[own + 2])
expire_reservations()
local held = reservation(token)
local w = held and load(worker_of(token))
if not w then return NOT_FOUND end
held.ends = now + (lease or held.lease)
reserve(token, held)
save(w)
return {'ok', text(held.ends)}

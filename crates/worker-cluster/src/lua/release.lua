local token, success, duration = ARGV[own + 1], ARGV[own + 2], tonumber(ARGV[own + 3])
expire_reservations()
local held = reservation(token)
if not held then return NOT_FOUND end
end_reservation(token)
local w = load(worker_of(token))
if not w then return NOT_FOUND end
add_tasks(w, -held.count)
if success ~= '' then complete(w, success == '1', duration) end
save(w)
return {'ok'}

local id = ARGV[own + 1]
return change(id, function(w)
  if w.hs ~= '0' then emit('t', 'health', 'id', id, 'from', w.hs, 'to', '0') end
  w.hb, w.hs = now, '0'
  redis.call('ZADD', base .. ':hb', text(now), id)
end)

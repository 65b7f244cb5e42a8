return change(ARGV[own + 1], function(w)
  w.ok = tonumber(ARGV[own + 2]) or w.ok
  w.bad = tonumber(ARGV[own + 3]) or w.bad
  w.avg = tonumber(ARGV[own + 4]) or w.avg
end)

return change(ARGV[own + 1], function(w)
  w.draining = ARGV[own + 2] == '1'
end)

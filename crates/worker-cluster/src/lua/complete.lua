return change(ARGV[own + 1], function(w)
  complete(w, ARGV[own + 2] == '1', tonumber(ARGV[own + 3]))
  add_tasks(w, -1)
end)

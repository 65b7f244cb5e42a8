forget(ARGV[own + 1])
return {'ok'}

local id = ARGV[own + 1]
forget(id)
announce_gone(id, 'explicit')
return {'ok'}

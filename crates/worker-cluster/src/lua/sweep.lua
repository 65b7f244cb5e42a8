-- Own arguments: ids whose record was not there.
for i = own + 1, #ARGV do
  if redis.call('EXISTS', worker_key(ARGV[i])) == 0 then expired(ARGV[i]) end
end
return {'ok'}

-- Takes one request off a budget (generic cell rate algorithm), by the server's clock.
-- The key holds when the budget will be whole again, in microseconds since 1970.
-- ARGV: microseconds per request; requests in a whole budget. Gives what is left, and the microseconds to wait.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local whole = interval * tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
-- A clock that was set back must not lock anybody out for longer than a budget takes to fill.
if full_at > now + whole then full_at = now + whole end
if full_at < now then full_at = now end
local spent = full_at + interval - now
if spent > whole then
  return {0, spent - whole}
end
redis.call('SET', KEYS[1], string.format('%.0f', now + spent), 'PX', math.ceil(spent / 1000))
return {math.floor((whole - spent) / interval), 0}

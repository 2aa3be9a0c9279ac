"""Scripts in Lua, each of which Redis performs in one step."""

from __future__ import annotations

PUBLISH = """
-- KEYS: the stream, the state.
-- ARGV: payload, size, seconds to live, an epoch, the server's run, topic, seconds that the state lives
local epoch, run, last = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'run', 'last'))
if not last then
  redis.call('DEL', KEYS[1])
end
if run ~= ARGV[5] then
  if epoch then
    redis.call('HSET', KEYS[2], 'end:' .. epoch, last)
  end
  epoch = ARGV[4]
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', ARGV[5])
end
local number = redis.call('HINCRBY', KEYS[2], 'last', 1)
local offset = epoch .. '-' .. number
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[2], number .. '-0', 'offset', offset, 'payload', ARGV[1],
           'until', string.format('%.3f', now + ARGV[3]))
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 2)) do
  if tonumber(entry[2][6]) <= now then
    redis.call('XDEL', KEYS[1], entry[1])
  end
end
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[2], math.ceil(ARGV[7] * 1000))
redis.call('PUBLISH', ARGV[6], offset .. ' ' .. ARGV[1])
return offset
"""
"""Number a message, keep it and send it."""

POSITION = """
-- KEYS: the stream, the state. ARGV: an epoch, the server's run, seconds that the state lives
local epoch, last = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'last'))
if not last then
  epoch, last = ARGV[1], 0
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', ARGV[2], 'last', last)
  redis.call('PEXPIRE', KEYS[2], math.ceil(ARGV[3] * 1000))
end
return epoch .. '-' .. last
"""
"""Return the offset of the last message, of a state that is made if there is none."""

REPLAY = """
-- KEYS: the stream, the state. ARGV: size, an epoch, the first number that is asked for if it is that epoch
local first = redis.call('HGET', KEYS[2], 'epoch') == ARGV[2] and ARGV[3] .. '-0' or '-'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local kept = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', first, 'COUNT', ARGV[1])) do
  if tonumber(entry[2][6]) > now then
    table.insert(kept, entry[2][2] .. ' ' .. #entry[2][4] .. ' ' .. entry[2][4])
  end
end
return {redis.call('HGETALL', KEYS[2]), table.concat(kept)}
"""
"""Return the state and, newest first, what has not ended of the messages: offset, size and payload of each.

PERF: as one text, of which 100 messages are read in a tenth of the time that redis-py takes for as many lists.
"""

KEEP = """
-- KEYS: of each member its holders, and the members of the channel. ARGV: holder, seconds to live, each member
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local ends = now + ARGV[2]
local life = math.ceil(ARGV[2] * 1000)
local news = {}
for index = 1, #KEYS / 2 do
  local holders, members, member = KEYS[2 * index - 1], KEYS[2 * index], ARGV[2 + index]
  redis.call('ZREMRANGEBYSCORE', holders, '-inf', now)
  news[index] = redis.call('EXISTS', holders) == 0 and 1 or 0
  redis.call('ZADD', holders, ends, ARGV[1])
  redis.call('ZADD', members, ends, member)
  redis.call('PEXPIRE', holders, life)
  redis.call('PEXPIRE', members, life)
end
return news
"""
"""Have a process hold members for a while; return of each whether nobody did."""

LEAVE = """
-- KEYS: the holders of the member, the members of the channel. ARGV: holder, member
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] + time[2] / 1000000)
local had = redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[2])
return had
"""
"""Have a process hold a member no longer; return whether nobody does any more."""

MEMBERS = """
-- KEYS: the members of a channel
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] + time[2] / 1000000)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""
"""Return who is held by any process."""

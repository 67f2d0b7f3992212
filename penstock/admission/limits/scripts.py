"""What Redis runs for limits that several servers share: Lua, each script at once and alone.

Times are seconds by the clock of Redis, so that the servers' clocks do not matter.
"""

TAKE = """
local rates = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local answer, ahead = {0, '0'}, {}
local worst = 0
for i = 1, rates do
  local interval, burst, amount = tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i]), tonumber(ARGV[3*i+1])
  local before = math.max(tonumber(redis.call('GET', KEYS[i]) or '0'), now)
  ahead[i] = before + amount * interval
  local wait = ahead[i] - burst - now
  if wait > 1e-6 and wait > worst then
    worst = wait
    answer[1], answer[2] = i, string.format('%.6f', wait)
  end
  answer[#answer + 1] = string.format('%.6f', before - now)
end
local at = 2 + 3 * rates
for i = rates + 1, #KEYS do
  local limit, cost, others = tonumber(ARGV[at]), tonumber(ARGV[at+1]), tonumber(ARGV[at+2])
  local known, ttl = ARGV[at+3], ARGV[at+4]
  at = at + 5
  redis.call('SET', KEYS[i], known, 'NX', 'EX', ttl)
  local spent = redis.call('GET', KEYS[i])
  local used = tonumber(spent) + others
  if tonumber(spent) >= limit - 1e-9 or (used > 1e-9 and used + cost > limit + 1e-9) then
    answer[1], answer[2] = i, '0'
  end
  answer[#answer + 1] = spent
end
if answer[1] == 0 then
  for i = 1, rates do
    redis.call('SET', KEYS[i], string.format('%.6f', ahead[i]), 'EX', math.ceil(ahead[i] - now) + 1)
  end
end
return answer
"""
"""KEYS: of rates, then of budgets. ARGV: how many rates; per rate the seconds of one unit, the burst in seconds, the
units wanted; per budget its limit, the expected cost, that of this server's other requests under way, what this server
knows was spent, seconds to keep it.

Takes all or nothing. Answers: the number of the key that has too little (0: none), the seconds until it has enough,
then per rate the seconds that were taken ahead before, per budget what was spent."""

SETTLE = """
local rates = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
for i = 1, rates do
  local seconds = tonumber(ARGV[i+1])
  local before = tonumber(redis.call('GET', KEYS[i]) or '0')
  if seconds > 0 then before = math.max(before, now) end
  local ahead = before + seconds
  if ahead > now then
    redis.call('SET', KEYS[i], string.format('%.6f', ahead), 'EX', math.ceil(ahead - now) + 1)
  elseif before > now then
    redis.call('DEL', KEYS[i])
  end
end
local at = 2 + rates
for i = rates + 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[at+1], 'NX', 'EX', ARGV[at+2])
  redis.call('INCRBYFLOAT', KEYS[i], ARGV[at])
  at = at + 3
end
return 0
"""
"""KEYS as above. ARGV: how many rates; per rate the seconds to take ahead more (less, where negative); per budget the
cost, what this server knows was spent before it, seconds to keep it."""

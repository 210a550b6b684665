"""The scripts of the Redis store, as text: each is one atomic step, and all its keys are in one slot.

Lua numbers are doubles, which are exact for whole numbers up to 2**53. Times are compared as numbers, but the text that
was sent is stored, because ``tostring`` changes large numbers.

Nothing about a session is decided on a replica, which may lag: a script that has nothing to write ends with a write
that changes nothing, which a replica refuses. It comes last, because Redis up to 6.2 lets a script that has begun to
write continue even if the memory is full.
"""

from dataclasses import dataclass
from hashlib import sha1

from daypass.session import EndReason
from daypass.stores.redis.layout import LONGEST_VALUE


@dataclass(frozen=True, slots=True)
class Script:
    """A script; ``sha`` is its name on the server."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> "Script":
        """Return the script with this text."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_NOTHING = "redis.call('HDEL', KEYS[1], '')"
"""Writes nothing, and fails where nothing may be written."""

_FIELDS = f"""
local flat = redis.call('HGETALL', KEYS[1])
if #flat == 0 then
  {_NOTHING}
  return false
end
local field = {{}}
for i = 1, #flat, 2 do field[flat[i]] = flat[i + 1] end
local everyone = redis.call('GET', KEYS[3])
if everyone and not field['e'] and tonumber(field['t']) <= tonumber(everyone) then
  field['e'], field['y'] = everyone, '{EndReason.EVERYONE}'
  for _, each in ipairs({{'e', everyone, 'y', field['y']}}) do flat[#flat + 1] = each end
end
local function answer(done)
  local lengths = {{}}
  for i = 1, #flat do lengths[i] = #flat[i] end
  return {{done, table.concat(lengths, ' '), table.concat(flat)}}
end
"""
"""Reads the session, as ended if everyone was; ``answer`` returns it in two strings, which are quicker to read."""

_JOINED = """
local function joined(name)
  local text, part = field[name], 1
  while field[name .. part] do text, part = text .. field[name .. part], part + 1 end
  return text
end
"""
"""Defines ``joined``, which returns a text that was cut into parts."""

_PUT = f"""
local function put(name, text)
  local part = 0
  for at = 1, #text, {LONGEST_VALUE} do
    redis.call('HSET', KEYS[1], part == 0 and name or name .. part, string.sub(text, at, at + {LONGEST_VALUE} - 1))
    part = part + 1
  end
  while redis.call('HDEL', KEYS[1], part == 0 and name or name .. part) == 1 do part = part + 1 end
end
"""
"""Defines ``put``, which cuts a text into parts and stores them; no text removes them."""

INSERT = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: id, ended_at or '', field, value, ...
if redis.call('EXISTS', KEYS[1]) == 1 then
  {_NOTHING}
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) end
return 1
"""
)

ADVANCE = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: expected generation, branch, rotated_before; generation, branch, now,
-- idle_ttl, absolute_ttl, '1' when passive; user agent or '', address or ''; proof or ''
-- Answers with whether it moved, and the session as it was.
{_FIELDS}
{_JOINED}
{_PUT}
local now, idle, end_at = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(field['t']) + tonumber(ARGV[8])
if field['z'] then end_at = math.min(end_at, tonumber(field['z'])) end
local expiresat = math.min(tonumber(field['x']), end_at)
if field['i'] then
  idle = math.min(idle, tonumber(field['i']))
  expiresat = math.min(expiresat, math.max(tonumber(field['t']), tonumber(field['r'])) + tonumber(field['i']))
end
if field['g'] ~= ARGV[1] or field['b'] ~= ARGV[2] or tonumber(field['r']) >= tonumber(ARGV[3])
    or field['e'] or now >= expiresat or (field['k'] and field['k'] ~= ARGV[12]) then
  {_NOTHING}
  return answer(0)
end
local expires = math.min(ARGV[9] == '1' and expiresat or now + idle, end_at)
redis.call('HSET', KEYS[1], 'g', ARGV[4], 'b', ARGV[5], 'r', ARGV[6], 'x', string.format('%.0f', expires))
if ARGV[10] ~= '' and ARGV[10] ~= joined('u') then put('u', ARGV[10]) end
if ARGV[11] ~= '' and ARGV[11] ~= joined('a') then put('a', ARGV[11]) end
return answer(1)
"""
)

SWAP = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: old generation, branch, rotated_at; new ones, expires_at, ended_at or '',
-- reason; id, channel; user agent or '', address or ''; key_thumbprint or ''
{_PUT}
local found = redis.call('HMGET', KEYS[1], 'g', 'b', 'r', 'e', 't', 'k')
local everyone = redis.call('GET', KEYS[3])
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] or found[3] ~= ARGV[3] or found[4] or (found[6] or '') ~= ARGV[14]
    or (everyone and tonumber(found[5]) <= tonumber(everyone)) then
  {_NOTHING}
  return 0
end
redis.call('HSET', KEYS[1], 'g', ARGV[4], 'b', ARGV[5], 'r', ARGV[6], 'x', ARGV[7])
if ARGV[12] ~= '' then put('u', ARGV[12]) end
if ARGV[13] ~= '' then put('a', ARGV[13]) end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'e', ARGV[8], 'y', ARGV[9])
  redis.call('ZADD', KEYS[2], ARGV[8], ARGV[10])
  redis.call('PUBLISH', ARGV[11], '')
end
return 1
"""
)

AMEND = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: old extras or '', new ones or ''
{_FIELDS}
{_JOINED}
{_PUT}
if field['e'] or (joined('m') or '') ~= ARGV[1] then
  {_NOTHING}
  return 0
end
put('m', ARGV[2])
return 1
"""
)

BIND = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: old extras or '', new ones, key_thumbprint
{_FIELDS}
{_JOINED}
{_PUT}
if field['e'] or field['k'] or (joined('m') or '') ~= ARGV[1] then
  {_NOTHING}
  return 0
end
put('m', ARGV[2])
redis.call('HSET', KEYS[1], 'k', ARGV[3])
return 1
"""
)

END = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: at, reason, id, channel; '1' when it has to be live at that time;
-- '1' and whose it has to be, or ''; '1' and the proof that it needs if it is bound, or ''
-- Answers with the session as it was, or nothing when there was nothing to end.
{_FIELDS}
{_JOINED}
if field['e'] or (ARGV[5] == '1' and tonumber(ARGV[1]) >= tonumber(field['x']))
    or (ARGV[6] == '1' and joined('s') ~= ARGV[7])
    or (ARGV[8] == '1' and field['k'] and field['k'] ~= ARGV[9]) then
  {_NOTHING}
  return false
end
redis.call('HSET', KEYS[1], 'e', ARGV[1], 'y', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], '')
return answer(1)
"""
)

FIND = Script.of(
    f"""
-- KEYS: session, endings, everyone
{_FIELDS}
{_NOTHING}
return answer(1)
"""
)

END_EVERYONE = Script.of(
    """
-- KEYS: everyone. ARGV: at
local at, known = ARGV[1], redis.call('GET', KEYS[1])
if known and tonumber(known) > tonumber(at) then at = known end
redis.call('SET', KEYS[1], at)
"""
)

READ_ENDINGS = Script.of(
    """
-- KEYS: endings, ..., everyone, ... ARGV: since
-- Answers with ids and times, one after another, and with the latest end of everyone.
local buckets, endings, latest = #KEYS / 2, {}, '0'
for i = 1, buckets do
  for _, each in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. ARGV[1], '+inf', 'WITHSCORES')) do
    endings[#endings + 1] = each
  end
end
for _, each in ipairs(redis.call('MGET', unpack(KEYS, buckets + 1))) do
  if each and tonumber(each) > tonumber(latest) then latest = each end
end
redis.call('ZREM', KEYS[1], '')
return {endings, latest}
"""
)

RESERVE = Script.of(
    """
-- KEYS: index. ARGV: created_at, id
-- Answers with the members that were there before, the latest first: logins of one user see each other in turn.
local members = redis.call('ZREVRANGE', KEYS[1], 0, -1, 'WITHSCORES')
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return members
"""
)

NOTE_DEVICE = Script.of(
    """
-- KEYS: devices. ARGV: now, device, how many to keep
-- Answers with 1 if the device is known, or none is.
local known = redis.call('ZSCORE', KEYS[1], ARGV[2]) or redis.call('ZCARD', KEYS[1]) == 0
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
return known and 1 or 0
"""
)

FORGET_DEVICES = Script.of(
    """
-- KEYS: devices. ARGV: until
-- Removes them if none was used later.
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if last[2] and tonumber(last[2]) <= tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) end
return 0
"""
)

READ_INDEX = Script.of(
    """
-- KEYS: index. ARGV: how many; created_at and id of the member to begin after, or ''
-- Answers with ids and times, the latest first. The place of a member that is gone is found by adding it for a moment.
local start = 0
if ARGV[2] ~= '' then
  local added = redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[3])
  start = redis.call('ZREVRANK', KEYS[1], ARGV[3]) + 1 - added
  if added == 1 then redis.call('ZREM', KEYS[1], ARGV[3]) end
end
local members = redis.call('ZREVRANGE', KEYS[1], start, start + ARGV[1] - 1, 'WITHSCORES')
redis.call('ZREM', KEYS[1], '')
return members
"""
)

CLAIM_SWEEP = Script.of(
    """
-- KEYS: sweep. ARGV: now, until, '1' to do it whether it is due or not
-- Answers with whether the next batch is the caller's, when it is due, and where the last one ended.
local found = redis.call('HMGET', KEYS[1], 'due', 'place')
if ARGV[3] ~= '1' and found[1] and tonumber(ARGV[1]) < tonumber(found[1]) then return {0, found[1], ''} end
redis.call('HSET', KEYS[1], 'due', ARGV[2])
return {1, ARGV[2], found[2] or ''}
"""
)

REMOVE_IF_OVER = Script.of(
    f"""
-- KEYS: session, endings, everyone. ARGV: before, absolute_ttl, id
-- Answers with whether it was removed, and with the session.
{_FIELDS}
local over = tonumber(field['x'])
if field['e'] then over = tonumber(field['t']) + tonumber(ARGV[2]) end
if over > tonumber(ARGV[1]) then return answer(0) end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[3])
return answer(1)
"""
)

ADD_KEY = Script.of(
    """
-- KEYS: keys. ARGV: kid, algorithm, created_at, wrapped, the rest of it, newest or ''
local newest, newest_at = '', nil
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local kid = string.match(flat[i], '^k:(.*)$')
  if kid then
    local algorithm, at = string.match(flat[i + 1], '^(%S+) (%S+)')
    at = tonumber(at)
    if algorithm == ARGV[2] and (not newest_at or at > newest_at or (at == newest_at and kid < newest)) then
      newest, newest_at = kid, at
    end
  end
end
if newest ~= ARGV[6] or redis.call('HEXISTS', KEYS[1], 'k:' .. ARGV[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'k:' .. ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[5], 'w:' .. ARGV[1], ARGV[4])
return 1
"""
)

REWRAP = Script.of(
    """
-- KEYS: keys. ARGV: kid, old, new
if redis.call('HGET', KEYS[1], 'w:' .. ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'w:' .. ARGV[1], ARGV[3])
return 1
"""
)

ADD_ACCOUNT = Script.of(
    """
-- KEYS: account, names, scoped. ARGV: subject, password hash, how many names, name, ..., field, value, ...
-- If the account exists with this very hash, which is salted, then the caller added it before, and the answer was lost.
local names = tonumber(ARGV[3])
local hash = redis.call('HGET', KEYS[1], 'password_hash')
if hash then return hash == ARGV[2] and 1 or 0 end
for i = 4, 3 + names do
  if redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then return 0 end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 4 + names))
for i = 4, 3 + names do redis.call('HSET', KEYS[2], ARGV[i], ARGV[1]) end
if redis.call('HEXISTS', KEYS[1], 'scope') == 1 then redis.call('SADD', KEYS[3], ARGV[1]) end
return 1
"""
)

SET_PASSWORD_HASH = Script.of(
    """
-- KEYS: account. ARGV: password hash
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'password_hash', ARGV[1])
return 1
"""
)

SET_DISABLED = Script.of(
    """
-- KEYS: account. ARGV: since when it is disabled, '' if it is not
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[1] == '' then redis.call('HDEL', KEYS[1], 'disabled_at')
else redis.call('HSET', KEYS[1], 'disabled_at', ARGV[1]) end
return 1
"""
)

SET_SCOPE = Script.of(
    """
-- KEYS: account, scoped. ARGV: subject, scope ('' for none)
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], 'scope')
  return redis.call('SREM', KEYS[2], ARGV[1])
end
redis.call('HSET', KEYS[1], 'scope', ARGV[2])
return redis.call('SADD', KEYS[2], ARGV[1])
"""
)

REMOVE_ACCOUNT = Script.of(
    """
-- KEYS: account, names, scoped. ARGV: subject, name, ...
redis.call('SREM', KEYS[3], ARGV[1])
for i = 2, #ARGV do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[i]) end
end
return redis.call('DEL', KEYS[1])
"""
)
_DROP_MARKS = """
local function drop(now, most)
  local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, most)
  if #expired > 0 then
    redis.call('ZREM', KEYS[1], unpack(expired))
    redis.call('ZREM', KEYS[2], unpack(expired))
  end
end
"""

ADD_MARK = Script.of(
    f"""
-- KEYS: marks, names. ARGV: mark, until, now, how many expired marks to remove
{_DROP_MARKS}
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
drop(ARGV[3], ARGV[4])
"""
)

DROP_MARKS = Script.of(
    f"""
-- KEYS: marks, names. ARGV: now, how many expired marks to remove
{_DROP_MARKS}
drop(ARGV[1], ARGV[2])
"""
)

ADD_MARK_ONCE = Script.of(
    """
-- KEYS: mark. ARGV: who adds it, for how many milliseconds
-- Answers with 1 if it was added, by this caller: a command that is sent again may have been performed.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
"""
)

READ_MARKS = Script.of(
    """
-- KEYS: marks, names. ARGV: what the names begin with, now. Ends with a write: a replica may not know a new mark.
local found = {}
for _, mark in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[1], '(' .. ARGV[1] .. string.char(255))) do
  local expires = redis.call('ZSCORE', KEYS[1], mark)
  if expires and tonumber(expires) > tonumber(ARGV[2]) then found[#found + 1] = string.sub(mark, #ARGV[1] + 1) end
end
redis.call('ZREM', KEYS[1], '')
return found
"""
)

INFORMATION = Script.of("return redis.call('INFO')")
"""What the server says about itself. KEYS: one, which chooses the server of a cluster."""

MIGRATE = Script.of(
    """
-- KEYS: schema, its version. ARGV: the version that the caller knows, the oldest that can read what it writes
-- Answers with the oldest version that can read the data, the version from now on, and which keys a full server evicts
-- ('' if none, or if the user may not ask).
local info, policy = redis.pcall('INFO', 'memory'), ''
if type(info) == 'string' and string.match(info, 'maxmemory:(%d+)') ~= '0' then
  policy = string.match(info, 'maxmemory_policy:(%S+)')
end
redis.call('SET', KEYS[1], ARGV[2], 'NX')
local oldest, version = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if tonumber(oldest) > tonumber(ARGV[1]) then return {oldest, version or oldest, policy} end
if not version or tonumber(version) < tonumber(ARGV[1]) then
  version = ARGV[1]
  redis.call('SET', KEYS[2], version)
end
return {oldest, version, policy}
"""
)

"""Statements that PostgreSQL is asked, on a thread of Django's or on the connection that listens."""

from __future__ import annotations

from typing import Final

# Spelled out, not put together from models: an app that is not installed has none, and constants are safe to read.

TABLE: Final = "hybrid_gateway_channels_keptmessage"

# SPEC: PostgreSQL, NOTIFY: notifications arrive in the order of commits; those of one transaction that are equal, once,
# wherefore each has an offset of its own. Two publishers of one channel: the second waits for the row of the state
# until the first has committed, so that numbers have the order of commits as well.
PUBLISH: Final = """
WITH state AS (
    INSERT INTO hybrid_gateway_channels_channelstate AS known (name, epoch, run, last, ends, expires_at)
    VALUES (%(channel)s, %(epoch)s, extract(epoch FROM pg_postmaster_start_time())::text, 1, '{}',
            clock_timestamp() + make_interval(secs => %(state_ttl)s))
    ON CONFLICT (name) DO UPDATE SET
        last = known.last + 1,
        ends = CASE WHEN known.run = EXCLUDED.run THEN known.ends
                    ELSE known.ends || jsonb_build_object(known.epoch, known.last) END,
        epoch = CASE WHEN known.run = EXCLUDED.run THEN known.epoch ELSE EXCLUDED.epoch END,
        run = EXCLUDED.run,
        expires_at = EXCLUDED.expires_at
    RETURNING id, epoch, last
), kept AS (
    INSERT INTO hybrid_gateway_channels_keptmessage (state_id, number, "offset", payload, expires_at)
    SELECT id, last, epoch || '-' || last, %(payload)s, clock_timestamp() + make_interval(secs => %(ttl)s) FROM state
    RETURNING id, "offset"
), pruned AS (
    DELETE FROM hybrid_gateway_channels_keptmessage AS message USING state
    WHERE message.state_id = state.id AND message.number <= state.last - %(size)s
)
SELECT "offset", pg_notify(%(topic)s, "offset" || ' ' || coalesce(%(inline)s, '=' || id)) FROM kept
"""
"""Number a message, keep it and send it; return its offset."""

NOTIFY: Final = "SELECT pg_notify(%(topic)s, %(offset)s || ' ' || %(inline)s)"
"""Send a message of a channel without history."""

NOTIFY_LONG: Final = """
WITH kept AS (
    INSERT INTO hybrid_gateway_channels_keptmessage ("offset", payload, expires_at)
    VALUES (%(offset)s, %(payload)s, clock_timestamp() + make_interval(secs => %(ttl)s))
    RETURNING id
)
SELECT pg_notify(%(topic)s, %(offset)s || ' =' || id) FROM kept
"""
"""Send one that is too long for a notification: that names its row."""

FETCH: Final = "SELECT payload FROM hybrid_gateway_channels_keptmessage WHERE id = %s"

# Whoever publishes may have the row for long: nobody waits for that, and the next message tells.
POSITION: Final = """
SET LOCAL lock_timeout = '200ms';
INSERT INTO hybrid_gateway_channels_channelstate (name, epoch, run, last, ends, expires_at)
SELECT %(channel)s, %(epoch)s, extract(epoch FROM pg_postmaster_start_time())::text, 0, '{}',
       clock_timestamp() + make_interval(secs => %(state_ttl)s)
WHERE NOT EXISTS (SELECT FROM hybrid_gateway_channels_channelstate WHERE name = %(channel)s)
ON CONFLICT DO NOTHING;
SELECT epoch || '-' || last FROM hybrid_gateway_channels_channelstate WHERE name = %(channel)s
"""
"""Return the offset of the last message, of a state that is made if there is none."""

REPLAY: Final = """
SELECT state.epoch, state.last, state.ends::text, message."offset", message.payload
FROM hybrid_gateway_channels_channelstate AS state
LEFT JOIN LATERAL (
    SELECT number, "offset", payload FROM hybrid_gateway_channels_keptmessage
    WHERE state_id = state.id AND expires_at > now()
      AND number >= CASE WHEN state.epoch = %(epoch)s THEN %(first)s ELSE 1 END
    ORDER BY number DESC LIMIT %(size)s
) AS message ON true
WHERE state.name = %(channel)s
ORDER BY message.number
"""
"""Return the state with each message that is kept."""

PRUNED_AT_ONCE: Final = 1000

PRUNE: Final = (
    """
DELETE FROM hybrid_gateway_channels_keptmessage WHERE id IN (
    SELECT id FROM hybrid_gateway_channels_keptmessage WHERE expires_at < now() LIMIT 1000 FOR UPDATE SKIP LOCKED
)""",
    """
DELETE FROM hybrid_gateway_channels_channelstate WHERE id IN (
    SELECT id FROM hybrid_gateway_channels_channelstate WHERE expires_at < now() LIMIT 1000 FOR UPDATE SKIP LOCKED
)""",
    """
DELETE FROM hybrid_gateway_channels_presence WHERE id IN (
    SELECT id FROM hybrid_gateway_channels_presence WHERE expires_at < now() LIMIT 1000 FOR UPDATE SKIP LOCKED
)""",
)
"""Delete what has ended, at most so many rows at once: others need the connection, too."""

# The lock is a statement of its own before another, in one transaction: the second sees what the first has waited for.
ENTER: Final = """
SELECT pg_advisory_xact_lock(hashtextextended(%(channel)s || ' ' || %(member)s, 0));
WITH entered AS (
    INSERT INTO hybrid_gateway_channels_presence (channel, member, holder, expires_at)
    VALUES (%(channel)s, %(member)s, %(holder)s, clock_timestamp() + make_interval(secs => %(ttl)s))
    ON CONFLICT (channel, member, holder) DO UPDATE SET expires_at = EXCLUDED.expires_at
)
SELECT NOT EXISTS (
    SELECT FROM hybrid_gateway_channels_presence
    WHERE channel = %(channel)s AND member = %(member)s AND expires_at > clock_timestamp()
)
"""

LEAVE: Final = """
SELECT pg_advisory_xact_lock(hashtextextended(%(channel)s || ' ' || %(member)s, 0));
WITH gone AS (
    DELETE FROM hybrid_gateway_channels_presence
    WHERE channel = %(channel)s AND member = %(member)s AND holder = %(holder)s
    RETURNING expires_at
)
SELECT EXISTS (SELECT FROM gone WHERE expires_at > clock_timestamp()) AND NOT EXISTS (
    SELECT FROM hybrid_gateway_channels_presence
    WHERE channel = %(channel)s AND member = %(member)s AND holder <> %(holder)s AND expires_at > clock_timestamp()
)
"""

KEEP: Final = """
INSERT INTO hybrid_gateway_channels_presence (channel, member, holder, expires_at)
SELECT channel, member, %(holder)s, clock_timestamp() + make_interval(secs => %(ttl)s)
FROM unnest(%(channels)s::text[], %(members)s::text[]) AS held (channel, member)
ON CONFLICT (channel, member, holder) DO UPDATE SET expires_at = EXCLUDED.expires_at
"""

MEMBERS: Final = """
SELECT DISTINCT member FROM hybrid_gateway_channels_presence
WHERE channel = %(channel)s AND expires_at > clock_timestamp()
"""

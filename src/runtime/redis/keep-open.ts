import { setTimeout as delay } from 'node:timers/promises';
import type { RedisNotice } from './notice.ts';
import { openRedis, type OpenRedis, type RedisPlace } from './open-redis.ts';

const TRY_EVERY_MS = 1_000;

/**
 * Opens Redis like `openRedis`, and opens it anew whenever the embedded server goes away: its users only wait for it, so nobody else would start
 * it again. The next server listens where the one before did, and connections made from the answer find it by themselves.
 * @param notice - hears of every server
 * @param onTrouble - hears why the server could not be started again; it is tried until `close`
 * @throws RedisUnavailable when it cannot be opened the first time
 */
export async function keepOpen(
  where: RedisPlace,
  notice: (event: RedisNotice) => void,
  onTrouble: (error: Error) => void,
): Promise<OpenRedis> {
  const stopping = new AbortController();
  const { signal } = stopping;
  let isLost = false;
  let reopening: Promise<void> | undefined;
  let current = await openOne();

  async function openOne(): Promise<{ readonly redis: OpenRedis; retire(): Promise<void> }> {
    let isRetired = false;
    const redis = await openRedis(where, (event) => {
      if (isRetired) return;
      notice(event);
      if (event.kind !== 'lost' || signal.aborted) return;
      isLost = true;
      reopening ??= reopen();
    });
    return {
      redis,
      retire() {
        isRetired = true;
        return redis.close();
      },
    };
  }

  async function reopen(): Promise<void> {
    while (isLost && !signal.aborted) {
      isLost = false;
      try {
        const before = current;
        current = await openOne();
        // Only now: whoever is in the server's list of clients keeps others from stopping it.
        await before.retire();
      } catch (error) {
        isLost = true;
        onTrouble(error instanceof Error ? error : new Error(String(error)));
        await delay(TRY_EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    reopening = undefined;
  }

  return {
    ...current.redis,
    async close() {
      stopping.abort();
      await reopening;
      await current.redis.close();
    },
  };
}

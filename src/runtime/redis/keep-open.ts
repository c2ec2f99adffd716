import { setTimeout as delay } from 'node:timers/promises';
import type { RedisNotice } from './notice.ts';
import { openRedis, type OpenRedis, type RedisPlace } from './open-redis.ts';
import { FolderMoved, type OwnFolder } from './embedded/own-folder.ts';

/** A Redis that is opened again whenever it goes away. */
export interface KeptRedis extends OpenRedis {
  /** Resolves with why, once it cannot be opened again: its data is not where it was. */
  readonly gone: Promise<FolderMoved>;
}

const TRY_EVERY_MS = 1_000;

/**
 * Opens Redis like `openRedis`, and opens it again whenever the embedded server goes away: its users only wait for it, so nobody else would start
 * it again. The next server works in the same folder and listens where the one before did, also where the data directory's path leads elsewhere
 * by then, as after a switch of a link; connections made from the answer find it by themselves.
 * @param notice - is told of every server
 * @param onTrouble - hears why the server could not be started again; it is tried until `close`
 * @throws RedisUnavailable when it cannot be opened the first time
 */
export async function keepOpen(
  where: RedisPlace,
  notice: (event: RedisNotice) => void,
  onTrouble: (error: Error) => void,
): Promise<KeptRedis> {
  const stopping = new AbortController();
  const { signal } = stopping;
  let isLost = false;
  let reopening: Promise<void> | undefined;
  let tellGone: (why: FolderMoved) => void = () => undefined;
  const gone = new Promise<FolderMoved>((resolve) => (tellGone = resolve));
  let current = await openOne();
  const { folder } = current.redis;

  async function openOne(again?: OwnFolder): Promise<{ readonly redis: OpenRedis; retire(): Promise<void> }> {
    let isRetired = false;
    const redis = await openRedis(
      where,
      (event) => {
        if (isRetired) return;
        notice(event);
        if (event.kind !== 'lost' || signal.aborted) return;
        isLost = true;
        reopening ??= reopen();
      },
      again,
    );
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
        current = await openOne(folder);
        // Only now: a client in the server's list keeps others from stopping it.
        await before.retire();
      } catch (error) {
        if (error instanceof FolderMoved) return tellGone(error);
        isLost = true;
        onTrouble(error instanceof Error ? error : new Error(String(error)));
        await delay(TRY_EVERY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    reopening = undefined;
  }

  return {
    ...current.redis,
    gone,
    async close() {
      stopping.abort();
      await reopening;
      await current.redis.close();
    },
  };
}

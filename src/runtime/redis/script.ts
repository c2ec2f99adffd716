import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

/** A Lua script, called by its hash and sent whole only where the server does not know it (after a restart, say). */
export type Script<Reply> = (
  client: Redis,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
) => Promise<Reply>;

/**
 * @param lua - replies with numbers, texts or arrays of them; the caller names their shape, since nobody but the script knows it
 * @throws the client's error, which `describeRedisError` makes readable
 */
export function script<Reply>(lua: string): Script<Reply>;
export function script(lua: string): Script<unknown> {
  const hash = createHash('sha1').update(lua).digest('hex');
  return async (client, keys, args) => {
    try {
      return await client.evalsha(hash, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return client.eval(lua, keys.length, ...keys, ...args);
    }
  };
}

/** Lua that defines `clockMs()`: milliseconds since 1970 by Redis' own clock. */
export const CLOCK = `local function clockMs()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`;

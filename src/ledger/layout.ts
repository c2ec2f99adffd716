import type { Redis } from 'ioredis';

/**
 * Which meaning the keys in Redis have for this version; one more with each change that an older version would read wrongly. The first version
 * wrote no number and reads none.
 */
export const LAYOUT_VERSION = 5;

/** From this layout on, a batch may do something else than delete. An older worker would delete its certificates. */
export const ACTIONS_SINCE = 4;
/** From this layout on, a batch may retire certificates. A worker that does not know how takes no such batch for one, and would drop its blocks. */
export const RETIREMENT_SINCE = 5;

export function layoutKey(prefix: string): string {
  return `${prefix}:layout`;
}

/** A newer version works on this Redis. What it writes would be read wrongly here. */
export class NewerLayout extends Error {
  override readonly name = 'NewerLayout';

  constructor(found: number) {
    super(
      `This Redis has been taken over by a newer certsweep: its keys have layout ${found}, this version knows ${LAYOUT_VERSION} and older. Install the newer version on this host too.`,
    );
  }
}

/** @throws NewerLayout, or the client's error */
export async function refuseNewerLayout(redis: Redis, prefix: string): Promise<void> {
  const found = Number((await redis.get(layoutKey(prefix))) ?? 0);
  if (found > LAYOUT_VERSION) throw new NewerLayout(found);
}

import { createHash, randomBytes } from 'node:crypto';
import { ownerOf, type Identity } from './identity.ts';
import type { Store } from './store.ts';

/** How long a session of the page lasts. */
export const SESSION_MS = 12 * 3_600_000;

const ID_BYTES = 32;
const ID_FORM = /^[A-Za-z0-9_-]{43}$/;

/** Opens a session for the owner of a token. @returns its id, which is kept nowhere: Redis has its hash */
export async function openSession(store: Store, { sha256 }: { readonly sha256: string }): Promise<string> {
  const id = randomBytes(ID_BYTES).toString('base64url');
  await store.redis.set(keyOf(store, id), sha256, 'PX', SESSION_MS);
  return id;
}

/**
 * Whose session it is; undefined where there is none any more, also since its token was removed from this process' configuration. The role is that
 * which the configuration has now.
 */
export async function ownerOfSession(store: Store, id: string): Promise<Identity | undefined> {
  if (!ID_FORM.test(id)) return undefined;
  const sha256 = await store.redis.get(keyOf(store, id));
  return sha256 === null ? undefined : ownerOf(store.config.http.tokens, sha256);
}

export async function endSession(store: Store, id: string): Promise<void> {
  if (ID_FORM.test(id)) await store.redis.del(keyOf(store, id));
}

function keyOf({ prefix }: Store, id: string): string {
  return `${prefix}:session:${createHash('sha256').update(id).digest('base64url')}`;
}

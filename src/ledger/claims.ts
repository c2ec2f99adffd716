import { createHash, randomUUID } from 'node:crypto';
import { script } from '../runtime/redis/script.ts';
import type { LedgerStore } from './keys.ts';

/** How long the outcome of an idempotency key is kept. */
export const CLAIM_KEPT_MS = 24 * 3_600_000;
/** How long a process that died with a claim keeps others out. */
const LEASE_MS = 30_000;
const RENEW_EVERY_MS = LEASE_MS / 3;

/**
 * Takes a claim, or keeps it for another while.
 * KEYS claim; ARGV holder lease.
 */
const CLAIM = `local found = redis.call('HMGET', KEYS[1], 'batch', 'became', 'content', 'answer', 'holder')
if found[1] then return { 'bound', found[1], found[2], found[3], found[4] } end
if found[5] and found[5] ~= ARGV[1] then return { 'running' } end
redis.call('HSET', KEYS[1], 'holder', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 'claimed' }`;

/** KEYS claim; ARGV holder. */
const RELEASE = `local found = redis.call('HMGET', KEYS[1], 'holder', 'batch')
if found[1] == ARGV[1] and not found[2] then redis.call('DEL', KEYS[1]) end`;

const claimScript = script<string[]>(CLAIM);
const releaseScript = script<null>(RELEASE);

/** The right of one process to make the batch of an idempotency key. It is bound to a batch in the step that activates that. */
export interface Claim {
  readonly id: string;
  readonly holder: string;
  /** Gives it back, unless a batch is bound to it; otherwise it expires. */
  release(): Promise<void>;
  /** Leaves it to run out: what was sent with it may still arrive. */
  leave(): void;
}

export type Claimed =
  | { readonly kind: 'claimed'; readonly claim: Claim }
  /** Another request with the key is at work, or died a moment ago. */
  | { readonly kind: 'running' }
  | BoundBefore;

/** A batch was made, or joined: what was sent for it, and the rest of its answer. */
export interface BoundBefore {
  readonly kind: 'bound';
  readonly batch: string;
  readonly became: 'running' | 'at-work' | 'awaits-approval';
  readonly content: string;
  readonly answer: string;
}

/** @param owner - a key is only its owner's: the same key of another is another key */
export async function claimKey({ redis, keys }: LedgerStore, owner: string, key: string): Promise<Claimed> {
  const id = createHash('sha256').update(`${owner}\0${key}`).digest('base64url');
  const at = keys.claim(id);
  const holder = randomUUID();
  const [kind, batch = '', became = '', content = '', answer = ''] = await claimScript(redis, [at], [holder, LEASE_MS]);
  if (kind === 'bound') return { kind, batch, became: became as BoundBefore['became'], content, answer };
  if (kind === 'running') return { kind };
  const renewal = setInterval(() => {
    // A claim that was lost is found out where it is bound.
    claimScript(redis, [at], [holder, LEASE_MS]).catch(() => undefined);
  }, RENEW_EVERY_MS).unref();
  const claim: Claim = {
    id,
    holder,
    leave: () => clearInterval(renewal),
    async release() {
      clearInterval(renewal);
      await releaseScript(redis, [at], [holder]).catch(() => undefined);
    },
  };
  return { kind: 'claimed', claim };
}

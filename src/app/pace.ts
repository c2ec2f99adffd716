import { lowerPace as lower, restorePace as restore, type LoweredPace } from '../limiter/pace/lowered-pace.ts';
import { readPace } from '../limiter/pace/read-pace.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { acting, lacksReason, type Motive, type ReasonRequired } from './acting.ts';
import type { Store } from './store.ts';

/** The longest time for which a pace is lowered: seven days. For longer, `limits.qps` of the configuration is the place. */
export const MOST_LOWERED_SECONDS = 7 * 86_400;

export interface PaceRequest {
  readonly account: string;
  /** Calls a second, over all workers; whole. */
  readonly qps: number;
  readonly forSeconds: number;
}

export type UnknownAccount = { readonly kind: 'no-account'; readonly accounts: readonly string[] };

export type LowerOutcome =
  | ({ readonly kind: 'lowered'; readonly configuredQps: number } & LoweredPace)
  /** It is not below the configured pace: this goes downwards only. */
  | { readonly kind: 'not-lower'; readonly configuredQps: number }
  /** No whole number from 1 on. Zero is what `stopAll` is for. */
  | { readonly kind: 'bad-qps' }
  /** No whole number of seconds from 1 to `most`. */
  | { readonly kind: 'bad-time'; readonly most: number }
  | UnknownAccount;

export type RestoreOutcome =
  | { readonly kind: 'restored' | 'not-lowered'; readonly configuredQps: number }
  | UnknownAccount
  | ReasonRequired;

/** An account's pace that is lowered for a time. */
export interface LoweredAccount extends LoweredPace {
  readonly account: string;
}

/**
 * Lowers the pace of an account for a time; then it is the configured one again by itself. No sliding second that begins two seconds later has more
 * calls, on all hosts together. It needs no reason, since it may be an emergency.
 */
export async function lowerPace(store: Store, request: PaceRequest, motive: Motive = {}): Promise<LowerOutcome> {
  const { account, qps, forSeconds } = request;
  const known = accountNamed(store, account);
  if ('kind' in known) return known;
  if (!Number.isSafeInteger(qps) || qps < 1) return { kind: 'bad-qps' };
  if (!Number.isSafeInteger(forSeconds) || forSeconds < 1 || forSeconds > MOST_LOWERED_SECONDS)
    return { kind: 'bad-time', most: MOST_LOWERED_SECONDS };
  if (qps >= known.qps) return { kind: 'not-lower', configuredQps: known.qps };
  const lowered = await acting(store, () => lower(store.redis, store.prefix, request, motive));
  return { kind: 'lowered', configuredQps: known.qps, ...lowered };
}

/** Ends a lowered pace before its time. */
export async function restorePace(store: Store, account: string, motive: Motive = {}): Promise<RestoreOutcome> {
  const known = accountNamed(store, account);
  if ('kind' in known) return known;
  if (lacksReason(store, motive)) return { kind: 'reason-required' };
  const { redis, prefix } = store;
  const wasLowered = await acting(store, () => restore(redis, prefix, { account, qps: known.qps }, motive));
  return { kind: wasLowered ? 'restored' : 'not-lowered', configuredQps: known.qps };
}

/** The accounts of the configuration whose pace is lowered now. */
export async function loweredAccounts({ config, redis, prefix }: Store): Promise<LoweredAccount[]> {
  const paces = await Promise.all(
    config.accounts.map(async ({ name }) => ({ name, pace: await readPace(redis, prefix, { account: name }) })),
  );
  return paces.flatMap(({ name, pace }) => (pace?.lowered === undefined ? [] : [{ account: name, ...pace.lowered }]));
}

function accountNamed({ config }: Store, name: string): AccountConfig | UnknownAccount {
  const found = config.accounts.find((account) => account.name === name);
  return found ?? { kind: 'no-account', accounts: config.accounts.map((account) => account.name) };
}

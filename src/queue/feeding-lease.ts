import type { Redis } from 'ioredis';
import { Lease } from './lease.ts';

/** A dead feeder's account is taken over within this time. */
const FEED_LEASE_MS = 3_000;

/** What makes one process of many the feeder of an account's queue. */
export function feedLease(redis: Redis, prefix: string, account: string): Lease {
  return new Lease(redis, leaseKey(prefix, account), FEED_LEASE_MS);
}

/** Those of the accounts whose queues no worker feeds, and none has fed for some seconds. */
export async function unfedAccounts(redis: Redis, prefix: string, accounts: readonly string[]): Promise<string[]> {
  const held = await Promise.all(accounts.map((account) => redis.exists(leaseKey(prefix, account))));
  return accounts.filter((_, at) => held[at] === 0);
}

function leaseKey(prefix: string, account: string): string {
  return `${prefix}:feeding:${account}`;
}

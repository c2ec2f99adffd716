import type { Action } from '../core/action.ts';
import { pendingOf } from '../core/batch.ts';
import { openReadingClient } from '../inventory/clients.ts';
import { findRemaining, type Found, type WantedCa } from '../inventory/remaining.ts';
import type { Verification } from '../inventory/verification.ts';
import { reportRows } from '../ledger/report.ts';
import { DuplicateDetector } from '../manifest/duplicate-detector.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { acting } from './acting.ts';
import { reachOf, type OutOfReach } from './accounts.ts';
import { withCloud, type CloudStop } from './cloud.ts';
import type { OpenStore } from './store.ts';

export type { Verification } from '../inventory/verification.ts';

export type VerifyOutcome =
  | {
      readonly kind: 'verified';
      readonly action: Action;
      readonly verification: Verification;
      /** What the walks noticed. */
      readonly found: Omit<Found, 'remaining'>;
      /** Items of the batch that have no outcome yet: they were not looked for. */
      readonly pending: number;
    }
  | { readonly kind: 'no-batch' }
  | OutOfReach
  | (CloudStop & { readonly account: string });

/**
 * Walks over the CAs of a batch and names every certificate that is not what the batch was to make it: one that came back, or one that the batch
 * could not change. Of a batch that deletes that is whatever is registered, of the others what has the wrong status. What was cancelled nobody wants
 * changed any more. That it was done, and what it found, is kept with the batch and on record.
 * @throws ScratchUnavailable, and AuditFileUnavailable before the first call
 */
export async function verifyBatch(store: OpenStore, batch: string, signal: AbortSignal): Promise<VerifyOutcome> {
  return acting(store, () => verify(store, batch, signal));
}

async function verify(store: OpenStore, batch: string, signal: AbortSignal): Promise<VerifyOutcome> {
  const record = await store.ledger.batches.find(batch);
  if (record === undefined) return { kind: 'no-batch' };
  const { action } = record;
  const wanted = new DuplicateDetector();
  try {
    const cas = await readWanted(store, batch, wanted);
    const plan = planOf(store, cas);
    if (plan.kind !== 'plan') return plan;
    const found: Found = { remaining: [], isMoved: false, unreadable: 0, calls: 0 };
    let checked = 0;
    for (const { account, cas: ofAccount } of plan.accounts) {
      const end = await withCloud(store, account, { openClient: openReadingClient, signal }, ({ desk, client }) =>
        findRemaining({ desk, client, action, wanted, found }, ofAccount),
      );
      if (end !== 'found') return { ...end, account: account.name };
      for (const { certificates } of ofAccount) checked += certificates;
    }
    const { remaining, ...noticed } = found;
    const verification = { batch, checked, remaining };
    const pending = pendingOf(record.counts);
    const { isMoved } = noticed;
    await store.ledger.batches.verified(batch, { checked, remaining: remaining.length, pending, isMoved });
    return { kind: 'verified', action, verification, found: noticed, pending };
  } finally {
    wanted.close();
  }
}

/** Adds the certificates that the batch was for. @returns their CAs */
async function readWanted({ ledger }: OpenStore, batch: string, wanted: DuplicateDetector): Promise<WantedCa[]> {
  const cas = new Map<string, WantedCa>();
  for await (const { instanceId, caSn, deviceSn, outcome } of reportRows(ledger, batch)) {
    if (outcome === 'cancelled') continue;
    const key = `${instanceId}\n${caSn}`;
    const ca = cas.get(key) ?? { instanceId, caSn, certificates: 0, isKnown: false };
    cas.set(key, ca);
    // Of single certificates, one may have been asked for twice.
    if (wanted.add({ instanceId, caSn, deviceSn })) ca.certificates += 1;
    ca.isKnown ||= outcome !== 'dead';
  }
  return [...cas.values()];
}

interface AccountPlan {
  readonly account: AccountConfig;
  readonly cas: WantedCa[];
}

/** Which account is asked about which CAs. Items that died because no account has their instance are passed over. */
function planOf(
  { config }: OpenStore,
  cas: readonly WantedCa[],
): { readonly kind: 'plan'; readonly accounts: Iterable<AccountPlan> } | OutOfReach {
  const accounts = new Map<string, AccountPlan>();
  for (const ca of cas) {
    const reach = reachOf(config, ca.instanceId);
    if (reach.kind === 'no-account' && !ca.isKnown) continue;
    if (reach.kind !== 'reach') return reach;
    const { account } = reach;
    const plan = accounts.get(account.name) ?? { account, cas: [] };
    accounts.set(account.name, plan);
    plan.cas.push(ca);
  }
  return { kind: 'plan', accounts: accounts.values() };
}

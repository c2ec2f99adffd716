import { recordDeed } from '../audit/deed.ts';
import type { ChangeEnd } from '../inventory/changes.ts';
import { openCaClient, type CaClient } from '../inventory/clients.ts';
import { countDevices } from '../inventory/count.ts';
import { ScratchUnavailable } from '../manifest/scratch-file.ts';
import type { AccountConfig } from '../runtime/config/config.ts';
import { acting, lacksReason, type Motive, type ReasonRequired } from './acting.ts';
import { isNoCa, readCa, type Ca, type CaPlace } from './cas.ts';
import { withCloud, type Cloud, type CloudStop } from './cloud.ts';
import type { OpenStore } from './store.ts';

export type CaAction = 'inactivate' | 'activate' | 'delete';

/** A CA before it is changed. */
export interface CaSnapshot {
  readonly ca: Ca;
  /** Null where they were not counted: only for a deletion they must be. */
  readonly certificates: number | null;
}

export interface CaChangeRequest extends CaPlace {
  readonly action: CaAction;
  readonly motive?: Motive;
  /**
   * Asks the operator for the word that `wordFor` names. Without it nothing is changed.
   * @returns what was typed, or `yes` of somebody who answers every question but that of a deletion
   */
  readonly confirm?: (snapshot: CaSnapshot) => Promise<{ readonly typed: string } | 'yes'>;
}

export type CaChangeOutcome =
  /** A read, which changed nothing. */
  | ({ readonly kind: 'preview' } & CaSnapshot)
  /** It has that status already: no call was made. */
  | ({ readonly kind: 'already' } & CaSnapshot)
  /** `requestId` is null where the answer was lost and a read has shown that it was done. */
  | ({ readonly kind: 'changed'; readonly requestId: string | null } & CaSnapshot)
  | ({ readonly kind: 'unconfirmed' } & CaSnapshot)
  /** Between the question and the call the number of certificates changed: no call was made. */
  | { readonly kind: 'other-number'; readonly asked: number; readonly now: number }
  /** The certificates could not be counted, since their listing changed its order or ended too early: no call was made. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'no-ca' }
  | ReasonRequired
  /** The call left, its answer was lost, and a read does not show that it was done. */
  | Extract<ChangeEnd, { kind: 'unknown' }>
  | CloudStop;

/** What an operator has to type to have the change made: for a deletion, how many certificates go too. */
export function wordFor(action: CaAction, { ca, certificates }: CaSnapshot): string {
  return action === 'delete' ? `${ca.caSn}:${certificates}` : ca.caSn;
}

/**
 * Reads a CA, asks, and changes it.
 * @throws ScratchUnavailable, AuditFileUnavailable and what Redis throws before the call is made; and what `confirm` throws
 */
export async function changeCa(
  store: OpenStore,
  account: AccountConfig,
  request: CaChangeRequest,
  signal: AbortSignal,
): Promise<CaChangeOutcome> {
  if (request.confirm !== undefined && lacksReason(store, request.motive ?? {})) return { kind: 'reason-required' };
  return withCloud(store, account, { openClient: openCaClient, signal }, async (cloud) => {
    const found = await readCa(cloud, request);
    if (found.kind !== 'ca') return found;
    const hands = { ...cloud, store };
    return request.action === 'delete' ? deleteCa(hands, request, found.ca) : setStatus(hands, request, found.ca);
  });
}

interface Hands extends Cloud<CaClient> {
  readonly store: OpenStore;
}

const STATUS_AFTER = { inactivate: 'inactive', activate: 'active' } as const;

/** In haste: the certificates are counted after the call, since their number is nothing that it depends on. */
async function setStatus(
  hands: Hands,
  request: CaChangeRequest,
  ca: Ca,
): Promise<Exclude<CaChangeOutcome, { kind: 'other-number' | 'moved' }>> {
  const { action, confirm } = request;
  const isDone = action !== 'delete' && ca.status === STATUS_AFTER[action];
  const snapshot = { ca, certificates: null };
  if (confirm === undefined) return { kind: 'preview', ca, certificates: await countOrNull(hands, request) };
  if (isDone) return { kind: 'already', ca, certificates: await countOrNull(hands, request) };
  if (!isConfirmed(action, snapshot, await confirm(snapshot))) return { kind: 'unconfirmed', ...snapshot };
  const end = await apply(hands, request);
  if (end.kind !== 'changed') return end;
  return { ...end, ca, certificates: await countOrNull(hands, request) };
}

async function deleteCa(hands: Hands, request: CaChangeRequest, ca: Ca): Promise<CaChangeOutcome> {
  const { instanceId, caSn, confirm } = request;
  const count = await countDevices(hands, instanceId, caSn);
  if (count.kind !== 'counted') return count;
  const snapshot = { ca, certificates: count.certificates };
  if (confirm === undefined) return { kind: 'preview', ...snapshot };
  if (!isConfirmed('delete', snapshot, await confirm(snapshot))) return { kind: 'unconfirmed', ...snapshot };
  // The operator may have thought for an hour.
  const again = await countDevices(hands, instanceId, caSn);
  if (again.kind !== 'counted') return again;
  if (again.certificates !== snapshot.certificates)
    return { kind: 'other-number', asked: snapshot.certificates, now: again.certificates };
  const end = await apply(hands, request, snapshot.certificates);
  return end.kind === 'changed' ? { ...end, ...snapshot } : end;
}

function isConfirmed(action: CaAction, snapshot: CaSnapshot, answer: { readonly typed: string } | 'yes'): boolean {
  return answer === 'yes' ? action !== 'delete' : answer.typed === wordFor(action, snapshot);
}

async function countOrNull(cloud: Cloud<CaClient>, { instanceId, caSn }: CaPlace): Promise<number | null> {
  try {
    const count = await countDevices(cloud, instanceId, caSn);
    return count.kind === 'counted' ? count.certificates : null;
  } catch (error) {
    // The CA may be changed by now: say so.
    if (error instanceof ScratchUnavailable) return null;
    throw error;
  }
}

type Applied =
  | { readonly kind: 'changed'; readonly requestId: string | null }
  | { readonly kind: 'no-ca' }
  | Extract<ChangeEnd, { kind: 'unknown' }>
  | CloudStop;

/**
 * The one place where a CA is changed. It is on record first: what is done to the cloud cannot be recorded in one step with it, and a change that is
 * not on record would be worse than an entry of one that did not come to be, which `ca-failed` then follows.
 */
async function apply(hands: Hands, request: CaChangeRequest, certificates?: number): Promise<Applied> {
  const { store } = hands;
  const { action, instanceId, caSn, motive } = request;
  const { redis, ledger } = store;
  const deed = { ca: { instanceId, caSn }, ...motive };
  return acting(store, async () => {
    const counts = certificates === undefined ? undefined : { certificates };
    await recordDeed(redis, ledger.keys.audit, { ...deed, event: `ca-${action}` }, counts);
    const end = await call(hands, request);
    if (end.kind !== 'changed') {
      const reason = describeFailure(end);
      await recordDeed(redis, ledger.keys.audit, { ...deed, event: 'ca-failed', reason }).catch((error: unknown) =>
        store.tellTrouble?.(error instanceof Error ? error : new Error(String(error))),
      );
    }
    return end;
  });
}

function describeFailure(end: Exclude<Applied, { kind: 'changed' }>): string {
  switch (end.kind) {
    case 'no-ca':
      return 'the CA is not registered';
    case 'closed':
      return 'interrupted before the call was made';
    case 'unknown':
      return `nobody knows whether it was done: ${end.code}: ${end.message}`;
    case 'refused':
    case 'halted':
      return `${end.code}: ${end.message}`;
  }
}

async function call(cloud: Cloud<CaClient>, request: CaChangeRequest): Promise<Applied> {
  const end = await cloud.change(callOf(cloud.client, request));
  switch (end.kind) {
    case 'done':
      return { kind: 'changed', requestId: end.requestId };
    case 'unknown':
      return (await isApplied(cloud, request)) ? { kind: 'changed', requestId: null } : end;
    case 'refused':
      return isNoCa(end) ? { kind: 'no-ca' } : end;
    case 'halted':
    case 'closed':
      return end;
  }
}

function callOf(client: CaClient, { action, instanceId, caSn }: CaChangeRequest) {
  switch (action) {
    case 'inactivate':
      return (notAfterMs: number) => client.inactivateCaCertificate(instanceId, caSn, notAfterMs);
    case 'activate':
      return (notAfterMs: number) => client.activateCaCertificate(instanceId, caSn, notAfterMs);
    case 'delete':
      return (notAfterMs: number) => client.deleteCaCertificate(instanceId, caSn, notAfterMs);
  }
}

/** Whether a read shows that a call whose answer was lost was done. */
async function isApplied(cloud: Cloud<CaClient>, { action, instanceId, caSn }: CaChangeRequest): Promise<boolean> {
  const now = await readCa(cloud, { instanceId, caSn });
  if (action === 'delete') return now.kind === 'no-ca';
  return now.kind === 'ca' && now.ca.status === STATUS_AFTER[action];
}

import { mayDo, limitFault } from '../core/role.ts';
import type { Action } from '../core/action.ts';
import type { BatchState } from '../core/batch.ts';
import { activateAwaiting } from '../ledger/approval.ts';
import { accountsOfBatch } from './accounts.ts';
import { acting, lacksReason, type ReasonRequired } from './acting.ts';
import type { Identity } from './identity.ts';
import { awaitedOf, type AwaitedApproval } from './overview.ts';
import type { Store } from './store.ts';

/** What somebody approves: it must be named, so that nobody approves what they have not looked at. */
export interface ApprovalRequest {
  readonly batch: string;
  /** As `AwaitedApproval` has it. */
  readonly manifest: string;
  readonly action: Action;
  readonly reason?: string;
}

export type ApprovalOutcome =
  /** It runs. */
  | { readonly kind: 'running' }
  /** The same manifest is at work already, as that batch: this one is gone. */
  | { readonly kind: 'at-work'; readonly batch: string }
  | { readonly kind: 'no-batch' }
  /** It waits for no approval. */
  | { readonly kind: 'not-awaiting'; readonly state: BatchState }
  /** Only another token may approve it. */
  | { readonly kind: 'own' }
  /** The token is not an approver's, or not for what the batch touches. */
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'other-action'; readonly action: Action }
  | { readonly kind: 'other-manifest'; readonly awaited: AwaitedApproval }
  | ReasonRequired
  /** Redis has lost part of what was stored. */
  | { readonly kind: 'gone' }
  /** Redis did not answer: it may run, now or later. */
  | { readonly kind: 'unknown'; readonly error: unknown };

/** What waits for approval in a batch; undefined if there is no such batch, or it waits for nobody. */
export async function awaitedApproval({ ledger }: Store, batch: string): Promise<AwaitedApproval | undefined> {
  const found = await ledger.batches.find(batch);
  return found?.awaiting === undefined || found.state !== 'planned' ? undefined : awaitedOf(found, found.awaiting);
}

/** Makes a batch run that waited for somebody else to agree. */
export async function approveBatch(
  store: Store,
  who: Identity,
  { batch, manifest, action, reason }: ApprovalRequest,
): Promise<ApprovalOutcome> {
  const motive = { requestedBy: who.name, ...(reason !== undefined && { reason }) };
  if (!mayDo(who.role, 'approve')) return { kind: 'forbidden' };
  if (lacksReason(store, motive)) return { kind: 'reason-required' };
  const found = await store.ledger.batches.find(batch);
  if (found === undefined) return { kind: 'no-batch' };
  const { awaiting, state } = found;
  if (awaiting === undefined || state !== 'planned') return { kind: 'not-awaiting', state };
  // By both: a token may have been given another name, or a name another token.
  if (who.name === awaiting.by?.name || who.sha256 === awaiting.by?.sha256) return { kind: 'own' };
  if (limitFault(who, await accountsOfBatch(store, batch), awaiting.certificates) !== undefined)
    return { kind: 'forbidden' };
  if (action !== found.action) return { kind: 'other-action', action: found.action };
  const awaited = awaitedOf(found, awaiting);
  if (manifest !== awaited.manifest) return { kind: 'other-manifest', awaited };
  const result = await acting(store, () => activateAwaiting(store.ledger, found, awaiting, motive));
  switch (result.kind) {
    case 'running':
      return { kind: 'running' };
    case 'duplicate':
      return { kind: 'at-work', batch: result.batch };
    case 'gone':
      return { kind: 'gone' };
    case 'unknown':
      return { kind: 'unknown', error: result.error };
  }
}

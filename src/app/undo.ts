import { pendingOf, type BatchState } from '../core/batch.ts';
import type { Action } from '../core/action.ts';
import type { Batch } from '../ledger/batch-record.ts';
import { reportRows, type ReportRow } from '../ledger/report.ts';
import { rowsOfObjects } from '../manifest/objects.ts';
import { lacksReason, type Motive } from './acting.ts';
import type { Store } from './store.ts';
import {
  checkManifest,
  submitManifest,
  type ManifestSummary,
  type SubmitOutcome,
  type SubmitRequest,
} from './submit.ts';

/** What an undo leaves as it is. */
export interface LeftAlone {
  /** Deleted: nothing brings a record back but the device itself. */
  readonly deleted: number;
  /** Inactive before the batch was at work: somebody else wanted that. */
  readonly alreadyInactive: number;
  readonly keptActive: number;
  /** What became of them is not sure; those that were marked inactive before they died are activated. */
  readonly dead: number;
}

/** Why a batch cannot be undone. */
export type NotUndoable =
  | { readonly kind: 'no-batch' }
  /** It inactivates nothing. */
  | { readonly kind: 'other-action'; readonly action: Action }
  /** It is at work: it has to be cancelled, and come to its end. */
  | { readonly kind: 'unfinished'; readonly state: BatchState; readonly pending: number };

/** A batch that undoes the same one, and has run or runs. */
export type EarlierUndo = Pick<Batch, 'id' | 'state' | 'counts'>;

export type UndoCheck =
  | {
      /** `empty`: it has left nothing inactive that was active before. `bad-rows`: no account of the configuration has some of them. */
      readonly kind: 'undoable' | 'empty' | 'bad-rows';
      readonly summary: ManifestSummary;
      readonly left: LeftAlone;
      /** The newest first. */
      readonly undoneBy: readonly EarlierUndo[];
    }
  | NotUndoable;

export type UndoOutcome = SubmitOutcome | NotUndoable;

/** Says what an undo would activate, and what it cannot; touches nothing. */
export async function checkUndo(store: Store, id: string): Promise<UndoCheck> {
  const batch = await store.ledger.batches.find(id);
  const obstacle = obstacleOf(batch);
  if (batch === undefined || obstacle !== undefined) return obstacle ?? { kind: 'no-batch' };
  const check = await checkManifest(store.config, rowsOfObjects(inactivated(store, batch)), false);
  const kind = check.kind === 'acceptable' ? 'undoable' : check.kind;
  return { kind, summary: check.summary, left: leftBy(batch), undoneBy: await undosOf(store, id) };
}

/** Activates what a batch has inactivated and not deleted, as a batch of its own, under the rules of every submission. */
export async function undoBatch(
  store: Store,
  id: string,
  request: Omit<SubmitRequest, 'action' | 'skipInvalid' | 'confirm'> & {
    readonly confirm: (summary: ManifestSummary, left: LeftAlone, undoneBy: readonly EarlierUndo[]) => Promise<number>;
  },
): Promise<UndoOutcome> {
  const batch = await store.ledger.batches.find(id);
  const obstacle = obstacleOf(batch);
  if (batch === undefined || obstacle !== undefined) return obstacle ?? { kind: 'no-batch' };
  const { confirm, askReason, ...details } = request;
  const undoneBy = await undosOf(store, id);
  return submitManifest(store, rowsOfObjects(inactivated(store, batch)), {
    ...details,
    ...naming(store, id, details),
    ...(askReason !== undefined && { askReason: async () => named(await askReason(), id) }),
    action: 'activate',
    confirm: (summary) => confirm(summary, leftBy(batch), undoneBy),
  });
}

/** So that the record of the new batch says where it comes from; a reason that has to be given is the operator's own. */
function naming(store: Store, id: string, { reason }: Motive): Motive {
  const ours = named(reason, id) ?? (lacksReason(store, {}) ? undefined : `undoes ${id}`);
  return ours === undefined ? {} : { reason: ours };
}

/** A blank reason is none. */
function named(reason: string | undefined, id: string): string | undefined {
  return (reason ?? '').trim() === '' ? undefined : `${reason} (undoes ${id})`;
}

async function undosOf({ ledger }: Store, id: string): Promise<EarlierUndo[]> {
  const names = (reason = ''): boolean => reason === `undoes ${id}` || reason.endsWith(`(undoes ${id})`);
  const batches = await ledger.batches.all();
  return batches.filter(({ action, state, reason }) => action === 'activate' && state !== 'planned' && names(reason));
}

function obstacleOf(batch: Batch | undefined): NotUndoable | undefined {
  if (batch === undefined) return { kind: 'no-batch' };
  const { action, state, counts } = batch;
  if (action !== 'inactivate' && action !== 'retire') return { kind: 'other-action', action };
  const pending = pendingOf(counts);
  const isOver = (state === 'completed' || state === 'cancelled') && pending === 0;
  return isOver ? undefined : { kind: 'unfinished', state, pending };
}

function leftBy({ counts }: Batch): LeftAlone {
  const { revoked, alreadyGone, alreadyInactive = 0, keptActive = 0, dead } = counts;
  return { deleted: revoked + alreadyGone, alreadyInactive, keptActive, dead };
}

/** Rows whose marks are asked for at once. */
const PAGE = 500;

/** What the batch has inactivated: those that ended so, and those that died later, after they had been marked. */
async function* inactivated({ ledger }: Store, { id }: Batch): AsyncGenerator<ReportRow> {
  let dead: ReportRow[] = [];
  const flush = async function* (): AsyncGenerator<ReportRow> {
    const isOurs = await ledger.retirements.areMarkedByUs(
      id,
      dead.map(({ ordinal }) => ordinal),
    );
    yield* dead.filter(({ ordinal }) => isOurs(ordinal));
    dead = [];
  };
  for await (const row of reportRows(ledger, id)) {
    if (row.outcome === 'inactivated') yield row;
    if (row.outcome === 'dead') dead.push(row);
    if (dead.length >= PAGE) yield* flush();
  }
  yield* flush();
}

import type { Action } from '../../../src/core/action.ts';
import type { Outcome } from '../../../src/core/batch.ts';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { Block } from '../../../src/queue/contract.ts';
import { isSoaking, Model, type ModelBatch } from '../../ledger/model.ts';
import type { JobPlace } from '../hand-stage.ts';

/** What lies behind an item that pends. */
export interface ModelRecord {
  failures: number;
  calls: number;
  /** One of its calls may have worked. */
  unknown: boolean;
  crashes: number;
  /** The run that noted a call and has not told how it ended. */
  note?: ModelRun;
}

/** A certificate with which something must be done, and what is true of it, whatever the code makes of it. */
export interface ModelItem {
  readonly action: Action;
  readonly certificate: Certificate;
  /** None before a job of no batch is adopted. */
  at?: { readonly batch: ModelBatch; readonly n: number };
  /** How often its dead letter was retried. */
  life: number;
  /** One of its calls did it. */
  ours: boolean;
  record: ModelRecord;
  /** When it was last settled: one of its calls had ended without our knowing how. */
  unsure: boolean;
  /** It is where items wait that no job holds. */
  waits: boolean;
  /** The run that took it from there. */
  claim?: ModelRun;
  /** Redis lost what held it. */
  lost: boolean;
}

/** What the queues should hold. */
export interface ModelJob {
  readonly id: string;
  readonly block?: Block;
  /** Of one that is no block, and was taken in. */
  item?: ModelItem;
  readonly certificate?: Certificate;
  place: JobPlace;
  stalls: number;
}

/** One start of a job, or one claim of an item that waited, in the hands of one process. */
export interface ModelRun {
  /** No other run has it. */
  readonly name: string;
  readonly process: string;
  /** None of a claim. */
  readonly jobId?: string;
  /** It has the job's lock, or the item. Without it another process may have it. */
  holds: boolean;
}

/** The ledger's model, and on top of it the queues, the items' lives, and where they wait. */
export class QueueModel extends Model {
  readonly manifests: readonly (readonly Certificate[])[];
  /** Of each batch, by ordinal; also of those that are forgotten. */
  readonly certificates = new Map<string, ModelItem[]>();
  readonly jobs = new Map<string, ModelJob>();

  constructor(manifests: readonly (readonly Certificate[])[]) {
    super();
    this.manifests = manifests;
  }

  itemAt(batch: string, n: number): ModelItem {
    const item = this.certificates.get(batch)?.[n];
    if (item === undefined) throw new Error(`there is no item ${n} of ${batch}`);
    return item;
  }

  get items(): ModelItem[] {
    return [...this.certificates.values()].flat();
  }

  override submit(manifest: number, id: string, items: number, action: Action): ModelBatch {
    const batch = super.submit(manifest, id, items, action);
    const certificates = this.manifests[manifest] ?? [];
    this.certificates.set(
      id,
      certificates.map((certificate, n) => ({ ...newItem(certificate, action), at: { batch, n } })),
    );
    return batch;
  }

  override reopen(batch: ModelBatch, n: number): ReturnType<Model['reopen']> {
    const reopened = super.reopen(batch, n);
    if (reopened === 'reopened') {
      const item = this.itemAt(batch.id, n);
      item.life += 1;
      item.record = { ...FRESH, unknown: item.unsure };
      this.wait(item);
    }
    return reopened;
  }

  override change(batch: ModelBatch, event: 'pause' | 'resume' | 'cancel'): boolean {
    const soaking = [...batch.items.keys()].filter((n) => isSoaking(batch, n));
    const isChanged = super.change(batch, event);
    // They must be ended, and nothing holds them.
    if (event === 'cancel' && isChanged) for (const n of soaking) this.itemAt(batch.id, n).lost = true;
    return isChanged;
  }

  /** @returns whether it may be forgotten */
  forget(batch: ModelBatch): boolean {
    const isOver = batch.state === 'completed' || batch.state === 'cancelled';
    if (batch.manifest === undefined || !isOver || batch.items.includes('pending') || batch.letters.size > 0)
      return false;
    this.batches.splice(this.batches.indexOf(batch), 1);
    return true;
  }

  /** The items of a block that pend. */
  itemsOf({ batch, instanceId, from, to }: Block): ModelItem[] {
    const items = (this.certificates.get(batch) ?? []).slice(from, to);
    return items.filter((item) => item.certificate.instanceId === instanceId && isPending(item));
  }

  /** @returns whether the job has an item in the direct batch now */
  adoptJob(direct: string, job: ModelJob): boolean {
    if (job.item !== undefined) return true;
    const adopted = this.adopt(direct, job.id);
    const batch = this.batches.find((known) => known.id === direct);
    if (adopted === undefined || batch === undefined || job.certificate === undefined) return false;
    const items = this.certificates.get(direct) ?? [];
    this.certificates.set(direct, items);
    // Its first job was lost, perhaps after a call, and it was added again under its name.
    const item = (items[adopted.n] ??= { ...newItem(job.certificate, 'delete'), at: { batch, n: adopted.n } });
    job.item = Object.assign(item, { lost: false });
    return true;
  }

  /** Something holds the item, and would work on it: a job, or the place where it waits. */
  isHeld(item: ModelItem): boolean {
    return item.waits || [...this.jobs.values()].some((job) => this.#holds(job, item));
  }

  /** It waits from now on, also where a claim had it. */
  wait(item: ModelItem): void {
    this.loseClaim(item);
    item.waits = true;
    item.lost = false;
  }

  /** The run has the item for the time of a claim, and no other has. */
  claim(item: ModelItem, run: ModelRun): void {
    this.loseClaim(item);
    item.claim = run;
    run.holds = true;
  }

  /** It is taken out of where items wait. */
  leave(item: ModelItem): void {
    this.loseClaim(item);
    item.waits = false;
  }

  /** Those that pend and do not wait already. */
  park(items: readonly ModelItem[]): void {
    for (const item of items) if (isPending(item) && !item.waits) this.wait(item);
  }

  loseClaim(item: ModelItem): void {
    if (item.claim !== undefined) item.claim.holds = false;
    delete item.claim;
  }

  /** The job's lock ran out, and BullMQ gives the job back. */
  stall(id: string): void {
    const job = this.jobs.get(id);
    if (job === undefined) return;
    job.place = 'waiting';
    job.stalls += 1;
  }

  loseJobs(): void {
    this.jobs.clear();
    this.#findLost();
  }

  loseWaiting(instanceId: string): void {
    for (const item of this.items.filter(({ certificate }) => certificate.instanceId === instanceId)) {
      this.loseClaim(item);
      // Also of one whose job is about to end, since its items wait.
      item.lost ||= item.waits && isPending(item);
      item.waits = false;
    }
  }

  /** The item is settled, unless it is already; `isUnsure` where a call of it may have worked without an answer that says so. */
  end(item: ModelItem, outcome: Outcome, byAbsence: boolean, isUnsure: boolean): void {
    const { at } = item;
    if (at === undefined || !isPending(item)) return;
    this.settle(at.batch, at.n, outcome, byAbsence);
    item.unsure = isUnsure;
    item.lost = false;
    item.record = { ...FRESH };
  }

  /** The item is inactive, and waits for the end of the soak. */
  mark(item: ModelItem, as: 'ours' | 'before'): void {
    item.at?.batch.marked.set(item.at.n, as);
    item.lost = false;
    // From here on, it is a deletion that may be ours.
    item.ours = false;
    item.record = { ...FRESH };
  }

  #findLost(): void {
    for (const item of this.items) item.lost ||= isPending(item) && !this.isHeld(item);
  }

  #holds({ block, item: own }: ModelJob, item: ModelItem): boolean {
    if (block === undefined || item.at === undefined) return own === item;
    const isInRange = item.at.n >= block.from && item.at.n < block.to;
    return isInRange && item.at.batch.id === block.batch && item.certificate.instanceId === block.instanceId;
  }
}

/** Something must be done with it now. */
export function isPending({ at }: ModelItem): boolean {
  return at?.batch.items[at.n] === 'pending' && !isSoaking(at.batch, at.n);
}

export const FRESH: Readonly<ModelRecord> = { failures: 0, calls: 0, unknown: false, crashes: 0 };

function newItem(certificate: Certificate, action: Action): ModelItem {
  return { action, certificate, life: 0, ours: false, record: { ...FRESH }, unsure: false, waits: false, lost: false };
}

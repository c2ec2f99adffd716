import type { Outcome } from '../../src/core/batch.ts';
import type { Certificate } from '../../src/core/certificate.ts';
import { Model, type ModelBatch } from '../ledger/model.ts';
import type { JobPlace } from './hand-stage.ts';
import type { Point } from './hand.ts';
import type { ModelRun } from './model-life.ts';

/** A certificate that is to be revoked, and what is true of it, whatever the code makes of it. */
export interface ModelItem {
  readonly certificate: Certificate;
  /** None before a job of no batch is adopted. */
  at?: { readonly batch: ModelBatch; readonly n: number };
  /** How often its dead letter was retried. */
  life: number;
  /** One of its calls deleted the certificate. */
  ours: boolean;
  /** The run that last noted a call of it; `letter` after a retry where one may have worked. None once it is settled. */
  note?: string;
  /** When it was last settled: one of its calls had ended without our knowing how. */
  unsure: boolean;
  /** Redis lost its job. */
  lost: boolean;
}

/** What the queue should hold. */
export interface ModelJob {
  readonly id: string;
  item: ModelItem;
  /** The life of the item for which it was made. */
  readonly life: number;
  place: JobPlace;
  failures: number;
  /** What its data tells: one of its calls may have worked. */
  unsure: boolean;
  /** The run of whose call its data tells. */
  told: string;
  stalls: number;
}

export interface StoppedRun {
  readonly run: ModelRun;
  readonly process: string;
  readonly rest: Generator<Point, void>;
}

/** The ledger's model, and on top of it the queue, the items' lives, and the certificates that are registered. */
export class QueueModel extends Model {
  readonly manifests: readonly (readonly Certificate[])[];
  /** Of each batch, by ordinal. */
  readonly certificates = new Map<string, ModelItem[]>();
  readonly jobs = new Map<string, ModelJob>();
  /** Serial numbers. */
  readonly registered: Set<string>;
  /** Serial numbers called for since the last look. */
  readonly calls: string[] = [];
  /** Runs that are stopped at a point; what is left of each is still to be told. */
  readonly stopped: StoppedRun[] = [];
  isHalted = false;

  constructor(manifests: readonly (readonly Certificate[])[], registered: Iterable<string>) {
    super();
    this.manifests = manifests;
    this.registered = new Set(registered);
  }

  itemAt(batch: string, n: number): ModelItem {
    const item = this.certificates.get(batch)?.[n];
    if (item === undefined) throw new Error(`there is no item ${n} of ${batch}`);
    return item;
  }

  override submit(manifest: number, id: string, items: number): ModelBatch {
    const batch = super.submit(manifest, id, items);
    const certificates = this.manifests[manifest] ?? [];
    this.certificates.set(
      id,
      certificates.map((certificate, n) => ({ ...newItem(certificate), at: { batch, n } })),
    );
    return batch;
  }

  override reopen(batch: ModelBatch, n: number): ReturnType<Model['reopen']> {
    const reopened = super.reopen(batch, n);
    if (reopened === 'reopened') {
      const item = this.itemAt(batch.id, n);
      item.life += 1;
      if (item.unsure) item.note = 'letter';
    }
    return reopened;
  }

  /** A job of another producer. */
  addJob(id: string, certificate: Certificate): void {
    if (!this.jobs.has(id)) this.#hold(id, newItem(certificate), 0);
  }

  /** The feeder made a job for the item. */
  feed(id: string, item: ModelItem, life: number): void {
    item.lost = false;
    this.#hold(id, item, life);
  }

  /** @returns whether the job has an item in the standing batch now */
  adoptJob(standing: string, job: ModelJob): boolean {
    if (job.item.at !== undefined) return true;
    const adopted = this.adopt(standing, job.id);
    const batch = this.batches.find((known) => known.id === standing);
    if (adopted === undefined || batch === undefined) return false;
    const items = this.certificates.get(standing) ?? [];
    this.certificates.set(standing, items);
    const known = items[adopted.n];
    if (known === undefined) {
      items.push(job.item);
      job.item.at = { batch, n: adopted.n };
    } else {
      // Its first job was lost, perhaps after a call, and it was added again under its name.
      job.item = Object.assign(known, { lost: false });
    }
    return true;
  }

  /** The job has nothing to do: its item is settled, or was, before it was tried again under another job. */
  isOver({ item, life }: ModelJob): boolean {
    return item.at !== undefined && (life !== item.life || item.at.batch.items[item.at.n] !== 'pending');
  }

  /** A job stands for the item, and would work on it. */
  hasJob(item: ModelItem): boolean {
    return [...this.jobs.values()].some((job) => job.item === item && !this.isOver(job));
  }

  /** The run's job loses its lock, and BullMQ gives it back. */
  stall(run: ModelRun): void {
    run.holds = false;
    run.job.place = 'waiting';
    run.job.stalls += 1;
  }

  /** Redis lost every job. */
  loseJobs(): void {
    for (const job of this.jobs.values()) job.item.lost ||= isPending(job.item) && !this.isOver(job);
    this.jobs.clear();
    for (const { run } of this.stopped) run.holds = false;
  }

  /** BullMQ gave the job up, and the sweeper makes it a dead letter. @returns whether it could */
  sweep(standing: string, job: ModelJob): boolean {
    if (!this.adoptJob(standing, job)) return false;
    if (!this.isOver(job)) {
      const { note } = job.item;
      this.end(job.item, 'dead', note !== undefined && (note !== job.told || job.unsure));
    }
    this.jobs.delete(job.id);
    return true;
  }

  /** The item is settled, unless it is already; `isUnsure` where a call of it may have worked without an answer that says so. */
  end(item: ModelItem, outcome: Outcome | 'by-absence', isUnsure: boolean): void {
    const { at } = item;
    if (at === undefined || !isPending(item)) return;
    const byAbsence = outcome === 'by-absence';
    this.settle(at.batch, at.n, byAbsence ? 'revoked' : outcome, byAbsence);
    item.unsure = isUnsure;
    delete item.note;
  }

  #hold(id: string, item: ModelItem, life: number): void {
    const fresh = { failures: 0, unsure: false, told: '', stalls: 0 };
    this.jobs.set(id, { id, item, life, place: 'waiting', ...fresh });
  }
}

export function isPending({ at }: ModelItem): boolean {
  return at?.batch.items[at.n] === 'pending';
}

function newItem(certificate: Certificate): ModelItem {
  return { certificate, life: 0, ours: false, unsure: false, lost: false };
}

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
  /** A call of it has left, or was about to; after a retry, only where it may have worked. */
  departed: boolean;
  /** One of its calls has ended without our knowing how. */
  unsure: boolean;
  /** Redis lost its job. */
  lost: boolean;
  /** Earlier deaths that its last dead letter tells of. */
  deaths: number;
}

/** What the queue should hold. */
export interface ModelJob {
  readonly id: string;
  item: ModelItem;
  /** The life of the item for which it was made. */
  readonly life: number;
  place: JobPlace;
  failures: number;
  /** Earlier deaths that its data tells of. */
  readonly deaths: number;
  /** What its data tells: one of its calls may have worked. */
  unsure: boolean;
  /** It was started, and how that ended is not written down. */
  isOpen: boolean;
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
      item.departed = item.unsure;
    }
    return reopened;
  }

  /** A job of another producer. */
  addJob(id: string, certificate: Certificate): void {
    if (!this.jobs.has(id)) this.#hold(id, newItem(certificate), 0, 0);
  }

  /** The feeder made a job for the item, that tells of so many earlier deaths. */
  feed(id: string, item: ModelItem, life: number, deaths: number): void {
    // It was handed over before, and what became of that is lost. What has ended has ended as it was known then.
    if (isPending(item)) item.unsure ||= item.departed;
    item.lost = false;
    this.#hold(id, item, life, deaths);
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
      job.item = Object.assign(known, { unsure: known.unsure || known.departed, lost: false });
      job.unsure ||= known.departed;
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
    const { at } = job.item;
    if (!this.isOver(job) && at !== undefined) {
      job.item.unsure ||= job.item.departed;
      job.item.deaths = job.deaths;
      this.settle(at.batch, at.n, 'dead', false);
    }
    this.jobs.delete(job.id);
    return true;
  }

  #hold(id: string, item: ModelItem, life: number, deaths: number): void {
    const fresh = { failures: 0, unsure: item.departed, isOpen: false, stalls: 0 };
    this.jobs.set(id, { id, item, life, deaths, place: 'waiting', ...fresh });
  }
}

export function isPending({ at }: ModelItem): boolean {
  return at?.batch.items[at.n] === 'pending';
}

function newItem(certificate: Certificate): ModelItem {
  return { certificate, life: 0, ours: false, departed: false, unsure: false, lost: false, deaths: 0 };
}

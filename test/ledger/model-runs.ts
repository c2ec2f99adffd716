import type { Outcome } from '../../src/core/batch.ts';
import type { Reopened } from '../../src/ledger/dead-letters.ts';
import { callOf, DONE, Model, type ModelBatch } from './model.ts';

/** What lies behind an item. `run`: who has a call of it on its way, as far as anybody was told. */
export interface Past {
  failures: number;
  calls: number;
  isUnknown: boolean;
  crashes: number;
  run: string | undefined;
}

/** A run as the model sees it: of a job, which it may have lost, or of a claim on one item. */
export interface ModelRun {
  readonly name: string;
  readonly kind: 'job' | 'claim';
  /** The one item of a claim. */
  readonly of?: { readonly batch: string; readonly n: number };
  hasJob: boolean;
}

/** That an item waits: whether it may go on, and who has the claim. */
interface Wait {
  isDue: boolean;
  holder?: string;
}

export interface Ask {
  readonly n: number;
  readonly run: ModelRun;
  /** Of a run that asks again, after a call. */
  readonly own?: Pick<Past, 'failures' | 'calls' | 'isUnknown'>;
}

export interface Tell {
  readonly n: number;
  readonly run: ModelRun;
  readonly own?: Pick<Past, 'failures' | 'calls' | 'isUnknown'>;
  readonly end:
    | { readonly kind: 'settle'; readonly outcome: Outcome; readonly requestId: string; readonly byAbsence: boolean }
    | { readonly kind: 'wait'; readonly isDue: boolean }
    | { readonly kind: 'release' };
}

/** How an item ended, as a report shows it, and its letter. */
export interface End {
  readonly requestId: string;
  readonly calls: number;
  readonly isUnknown: boolean;
}

const MOST_CRASHES = 20;
const NOTHING: Past = { failures: 0, calls: 0, isUnknown: false, crashes: 0, run: undefined };

/** The model of items on their way: calls and who makes them, and items that wait. */
export class RunModel extends Model {
  readonly runs: ModelRun[] = [];
  readonly #pasts = new Map<string, Past>();
  readonly #waits = new Map<string, Wait>();
  readonly #ends = new Map<string, End>();
  /** Which report has settled what. */
  readonly #told = new Set<string>();

  past({ id }: ModelBatch, n: number): Past {
    return this.#pasts.get(`${id} ${n}`) ?? NOTHING;
  }

  wait({ id }: ModelBatch, n: number): Wait | undefined {
    return this.#waits.get(`${id} ${n}`);
  }

  end({ id }: ModelBatch, n: number): End | undefined {
    return this.#ends.get(`${id} ${n}`);
  }

  /** An item waits, of which nobody has the claim; or no more. */
  setWait({ id }: ModelBatch, n: number, wait: Wait | undefined): void {
    if (wait === undefined) this.#waits.delete(`${id} ${n}`);
    else this.#waits.set(`${id} ${n}`, wait);
  }

  /** Calls are asked for in one step; the first `slots` that may be made are noted. @returns what is said of each */
  note(batch: ModelBatch, asks: readonly Ask[], slots: number, back: readonly Ask[]): string[] {
    for (const { n, run, own } of back) {
      const past = this.past(batch, n);
      if (own === undefined && past.run === run.name) this.#setPast(batch, n, { ...past, run: undefined });
    }
    const first = new Set<number>();
    const noted: { ask: Ask; past: Past }[] = [];
    const verdicts = asks.map((ask) => {
      const { verdict, past } = this.#judge(batch, ask, first.has(ask.n));
      if (past !== undefined) {
        first.add(ask.n);
        noted.push({ ask, past });
      }
      return verdict;
    });
    for (const { ask, past } of noted.slice(0, slots)) {
      this.#setPast(batch, ask.n, { ...past, run: ask.run.name });
      if (ask.run.kind === 'claim') this.setWait(batch, ask.n, { isDue: false, holder: ask.run.name });
    }
    return verdicts;
  }

  #judge(batch: ModelBatch, { n, run, own }: Ask, isTaken: boolean): { verdict: string; past?: Past } {
    const isClaim = run.kind === 'claim';
    const wait = this.wait(batch, n);
    if (batch.items[n] !== 'pending') {
      if (isClaim) this.setWait(batch, n, undefined);
      return { verdict: 'settled' };
    }
    if (!isClaim && !run.hasJob) return { verdict: 'lock-lost' };
    const past = { ...this.past(batch, n) };
    // A run whose call is noted keeps the item until another has noted one, also where that one has the claim by now.
    const isHeld = wait !== undefined && (wait.holder === run.name || past.run === run.name);
    if (isClaim ? !isHeld : wait !== undefined) return { verdict: 'left' };
    if (past.run !== undefined && past.run !== run.name) {
      if (this.#hasJob(past.run)) return { verdict: isClaim ? 'busy' : 'left' };
      crash(past);
    }
    if (isTaken) return { verdict: 'left' };
    if (own !== undefined && past.run === run.name)
      Object.assign(past, own, { isUnknown: past.isUnknown || own.isUnknown });
    if (batch.state === 'paused') return { verdict: 'paused' };
    if (batch.state === 'cancelled' && !past.isUnknown) return { verdict: 'cancelled' };
    const behind = `${past.failures} ${past.calls} ${past.isUnknown ? 'unknown' : 'known'}`;
    if (past.crashes >= MOST_CRASHES) return { verdict: `crashed ${behind}` };
    return { verdict: `go ${behind}`, past };
  }

  /** What became of items, in one step. */
  tell(batch: ModelBatch, tells: readonly Tell[]): { replies: string[]; isDrained: boolean } {
    let isDrained = false;
    const replies = tells.map((tell) => {
      const reply = this.#tellOne(batch, tell);
      isDrained ||= reply === 'drained' || (reply === 'told again' && this.#isOver(batch));
      return reply === 'drained' || reply === 'told again' ? 'settled' : reply;
    });
    return { replies, isDrained };
  }

  #tellOne(batch: ModelBatch, { n, run, own, end }: Tell): string {
    if (n >= batch.items.length) return 'unknown';
    const requestId = end.kind === 'settle' ? end.requestId || run.name : '';
    const report = `${batch.id} ${n} ${requestId}`;
    if (batch.items[n] !== 'pending') {
      if (run.kind === 'claim') this.setWait(batch, n, undefined);
      return end.kind === 'settle' && this.#told.has(report) ? 'told again' : 'already';
    }
    const past = { ...this.past(batch, n) };
    const isOwn = past.run === run.name;
    const isSuccess = end.kind === 'settle' && end.outcome === DONE[callOf(batch)];
    if (!isSuccess) {
      if (!isOwn && (own !== undefined || !this.#isFree(batch, n, run))) return 'overtaken';
      if (!isOwn && past.run !== undefined) crash(past);
      const isUnknown = past.isUnknown || own?.isUnknown === true;
      if (end.kind === 'settle' && end.outcome === 'cancelled' && isUnknown) return 'overtaken';
      Object.assign(past, own, { isUnknown, run: undefined });
    }
    if (end.kind === 'settle') {
      this.#told.add(report);
      this.#pasts.delete(`${batch.id} ${n}`);
      if (run.kind === 'claim') this.setWait(batch, n, undefined);
      this.#ends.set(`${batch.id} ${n}`, {
        requestId: end.requestId,
        calls: own?.calls ?? 0,
        isUnknown: past.isUnknown,
      });
      return this.settle(batch, n, end.outcome, end.byAbsence);
    }
    this.#setPast(batch, n, past);
    if (end.kind === 'wait') this.setWait(batch, n, { isDue: end.isDue });
    return end.kind === 'wait' ? 'waiting' : 'released';
  }

  /** Nobody else may have a call of it on its way. */
  #isFree(batch: ModelBatch, n: number, run: ModelRun): boolean {
    const { run: caller } = this.past(batch, n);
    if (caller !== undefined && this.#hasJob(caller)) return false;
    const wait = this.wait(batch, n);
    return run.kind === 'claim' ? wait?.holder === run.name : wait === undefined;
  }

  override reopen(batch: ModelBatch, n: number): Reopened {
    const reply = super.reopen(batch, n);
    if (reply !== 'reopened') return reply;
    this.#setPast(batch, n, { ...NOTHING, isUnknown: this.end(batch, n)?.isUnknown === true });
    this.setWait(batch, n, { isDue: true });
    return reply;
  }

  /** Of those that may have been called for, none. */
  override cancelItems(batch: ModelBatch, ordinals: readonly number[]): number {
    const free = ordinals.filter((n) => this.past(batch, n).run === undefined && !this.past(batch, n).isUnknown);
    const open = free.filter((n) => batch.items[n] === 'pending');
    const count = super.cancelItems(batch, open);
    for (const n of count > 0 ? open : []) {
      this.#pasts.delete(`${batch.id} ${n}`);
      this.#ends.set(`${batch.id} ${n}`, { requestId: '', calls: 0, isUnknown: false });
    }
    return count;
  }

  #hasJob(name: string): boolean {
    return this.runs.some((run) => run.name === name && run.hasJob);
  }

  #isOver(batch: ModelBatch): boolean {
    return !batch.items.includes('pending') && batch.state !== 'paused';
  }

  #setPast({ id }: ModelBatch, n: number, past: Past): void {
    this.#pasts.set(`${id} ${n}`, past);
  }
}

/** A run that ended without a report may have called. */
function crash(past: Past): void {
  Object.assign(past, { isUnknown: true, crashes: past.crashes + 1, run: undefined });
}

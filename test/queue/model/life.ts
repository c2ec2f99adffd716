import type { Outcome } from '../../../src/core/batch.ts';
import { runName } from '../../../src/ledger/call-notes.ts';
import type { Reported } from '../../../src/ledger/items.ts';
import type { Disposition, Item } from '../../../src/queue/process/item.ts';
import type { AnswerKind } from '../hand.ts';
import type { CallEffect, HandEvent } from '../world.ts';
import { expectSame } from './judge.ts';
import { isPending, type ModelItem, type ModelRun, type QueueModel } from './model.ts';
import { DONE, leftAs } from '../../ledger/model.ts';
import { afterCall, afterLook, afterRead, type Known, type Next, type Puzzle, type Step } from './next.ts';

/** An item in the hands of a process. */
export interface Life {
  readonly run: ModelRun;
  readonly item: ModelItem;
  readonly step: Step;
  next: Next;
  /** It was looked at, and may be deleted by the next call. */
  mayDelete?: boolean;
  /** What the run knows, once it has called. */
  known?: Known;
  /** The code of its last call told nothing: the certificate must be read. */
  puzzle?: Puzzle;
  /** What its note says lies behind the item. */
  noted?: Known;
  /** At which step it noted its call; none before, and none when it has told how that ended. */
  notedAt?: number;
  /** Whether it still needs its job, at its end. */
  stays?: boolean;
}

const DONE_OUTCOMES = new Set<Outcome>(Object.values(DONE));

/** Hears all that processes do with items, and says of each thing whether it may be, as a person would tell it. */
export class Lives {
  /** Of the world. */
  readonly isCaActive: () => boolean;
  readonly #model: QueueModel;
  readonly #runs = new Map<string, ModelRun>();
  readonly #lives = new Map<Item, Life>();
  /** Processes that leave: they may not be able to write. */
  readonly leaving = new Set<string>();
  /** Goes up with each command. */
  step = 0;

  constructor(model: QueueModel, isCaActive: () => boolean) {
    this.isCaActive = isCaActive;
    this.#model = model;
  }

  /** A process has a run in hand. */
  begin(run: ModelRun): void {
    this.#runs.set(run.name, run);
  }

  of(process: string): Life[] {
    return [...this.#lives.values()].filter(({ run }) => run.process === process);
  }

  hear(event: HandEvent): void {
    if (event.kind === 'begun') {
      const run = this.#runs.get(runName(event.item.run));
      if (run === undefined) throw new Error(`nobody has ${runName(event.item.run)} in hand`);
      const item = this.#model.itemAt(event.item.batch, event.item.n);
      const { action, isRetiring } = event.item;
      const { at } = item;
      const isMarked = at !== undefined && at.batch.marked.has(at.n);
      const isRetired = item.action === 'retire';
      // A block is read as a whole, and may go on one item at a time: what was marked since is inactivated again, or found settled.
      const isReadBefore = isMarked && action === 'inactivate' && run.jobId !== undefined;
      const due = isRetired ? (isMarked && !isReadBefore ? 'delete' : 'inactivate') : item.action;
      expectSame({ action, isRetiring: isRetiring === true }, { action: due, isRetiring: isRetired });
      this.#lives.set(event.item, {
        run,
        item,
        step: { action, ...(isRetired && { isRetiring }) },
        next: { kind: 'ask' },
      });
      return;
    }
    const life = this.#lives.get(event.item);
    if (life === undefined) throw new Error('an item was not begun');
    switch (event.kind) {
      case 'asked':
        return this.#asked(life, event);
      case 'back':
        expectSame(life.next.kind, 'call');
        life.next = { kind: 'ask' };
        // A run that has called before keeps its note until it tells how that ended.
        if (life.known !== undefined) return;
        if (life.item.record.note === life.run) delete life.item.record.note;
        delete life.notedAt;
        return;
      case 'sent-away':
        life.next = { kind: event.why === 'closed' ? 'release' : 'wait' };
        return;
      case 'called':
        return this.#called(life, event.answer, event.how);
      case 'reported':
        return this.#reported(life, event.disposition, event.reply);
    }
  }

  #asked(life: Life, { verdict, isServed }: Extract<HandEvent, { kind: 'asked' }>): void {
    const { item, run } = life;
    expectSame(['ask', 'ask-or-wait'].includes(life.next.kind), true);
    const { record } = item;
    const isUntold = record.note !== undefined && record.note !== run;
    const known = record.note === run && life.known !== undefined ? life.known : record;
    const { failures, calls } = known;
    const unknown = record.unknown || known.unknown || isUntold;
    const told = this.#verdict(life, unknown);
    const isGo = told === 'go';
    expectSame(verdict, isGo ? { kind: told, attempt: { failures, calls, effectUnknown: unknown } } : { kind: told });
    if (isGo && !isServed) return;
    if (isGo) {
      this.#expectAlone(life);
      if (run.jobId === undefined) this.#model.claim(item, run);
      item.record = { failures, calls, unknown, crashes: record.crashes + (isUntold ? 1 : 0), note: run };
      Object.assign(life, { noted: { failures, calls, unknown }, notedAt: this.step, next: { kind: 'call' } });
      return;
    }
    // It is no use there any more.
    if (run.jobId === undefined && (told === 'settled' || told === 'no-batch')) {
      this.#model.leave(item);
    }
    if (told === 'paused') life.next = { kind: 'wait' };
    else if (told === 'cancelled') life.next = { kind: 'settled', outcome: 'cancelled', byAbsence: false };
    else life.next = { kind: 'abandon' };
  }

  /** A call may be made for an item that pends, of a batch that runs, by the run that has it; of a cancelled one only to learn the outcome of an earlier call. */
  #verdict({ item, run }: Life, unknown: boolean): string {
    const { at, record } = item;
    const isClaim = run.jobId === undefined;
    if (at === undefined || !this.#model.batches.includes(at.batch)) return 'no-batch';
    if (!isPending(item)) return 'settled';
    if (!isClaim && !run.holds) return 'lock-lost';
    const { note } = record;
    // While its note is the last one, no other run has called since its claim ran out.
    const isClaimed = item.waits && (item.claim === run || note === run);
    if (isClaim ? !isClaimed : item.waits) return 'left';
    const isOther = note !== undefined && note !== run;
    if (isOther && note.jobId !== undefined && note.holds) return isClaim ? 'busy' : 'left';
    if (at.batch.state === 'paused') return 'paused';
    return at.batch.state === 'cancelled' && !unknown ? 'cancelled' : 'go';
  }

  /** No other run that is alive has a call of the item under way. */
  #expectAlone({ run, item }: Life): void {
    const others = [...this.#lives.values()].filter(
      (life) => life.item === item && life.run !== run && life.notedAt !== undefined && life.run.holds,
    );
    expectSame(
      others.map((life) => life.run.name),
      [],
    );
  }

  #called(life: Life, kind: AnswerKind, how: CallEffect): void {
    const { item, run, noted } = life;
    expectSame(life.next.kind, 'call');
    if (noted === undefined) throw new Error('a call was not noted');
    if (run.holds) this.#expectAlone(life);
    // One that stood still since it was noted cannot know what has come between.
    if (life.notedAt === this.step) {
      const state = item.at?.batch.state;
      const mayBe = state === 'running' || (state === 'cancelled' && noted.unknown);
      expectSame(
        { state, mayBe, isPending: isPending(item), holds: run.holds },
        {
          state,
          mayBe: true,
          isPending: true,
          holds: true,
        },
      );
    }
    // Where another run has marked it meanwhile, a call to inactivate it does nothing more.
    const isLate = life.step.action === 'inactivate' && item.at?.batch.marked.has(item.at.n) === true;
    item.ours ||= how.isDone && !isLate;
    const before = life.known ?? noted;
    const { action, isRetiring } = life.step;
    if (isRetiring === true && action === 'delete') {
      // No deletion without a look right before it.
      expectSame(how.isRead, life.mayDelete !== true);
      life.mayDelete = false;
      if (how.isRead) {
        const after = afterLook(kind, how, this.isCaActive(), before);
        life.mayDelete = kind === 'honest' && after.next.kind === 'ask';
        Object.assign(life, after);
        return;
      }
    }
    if (how.isRead) {
      if (life.puzzle === undefined) throw new Error('a certificate was read without need');
      Object.assign(life, afterRead(kind, how, life.step, life.puzzle, before));
      return;
    }
    delete life.puzzle;
    Object.assign(life, afterCall(kind, how, life.step, before));
  }

  #reported(life: Life, disposition: Disposition, reply: Reported | 'closed'): void {
    const { next, run } = life;
    const { kind } = disposition;
    const how = kind === 'settled' ? { outcome: disposition.outcome, byAbsence: disposition.byAbsence } : {};
    expectSame({ kind, ...how }, next.kind === 'ask-or-wait' ? { kind: 'wait' } : next);
    life.next = { kind: 'nothing' };
    delete life.notedAt;
    life.stays = kind === 'release' || reply === 'closed';
    if (reply === 'closed') return expectSame(this.leaving.has(run.process), true);
    expectSame(
      { kind, reply },
      {
        kind,
        reply: kind === 'abandon' ? 'overtaken' : this.#report(life, disposition),
      },
    );
    // One without a job has nothing to stay with.
    if (run.jobId === undefined) life.stays = false;
    if (reply === 'released') life.stays = true;
  }

  /** @returns what the ledger answers */
  #report(life: Life, disposition: Exclude<Disposition, { kind: 'abandon' }>): Reported {
    const { item, run, known } = life;
    const isClaim = run.jobId === undefined;
    const { at, record } = item;
    const { note } = record;
    if (at === undefined || !this.#model.batches.includes(at.batch)) return 'unknown';
    if (!isPending(item)) {
      if (isClaim) this.#model.leave(item);
      return 'already';
    }
    const isSettled = disposition.kind === 'settled';
    const isUntold = note !== undefined && note !== run;
    const unknown = record.unknown || isUntold;
    // What the API has said of a call of ours stays true, whatever others did.
    const left = leftAs(at.batch, at.n);
    const isSure =
      isSettled &&
      DONE_OUTCOMES.has(disposition.outcome) &&
      !(disposition.outcome === 'inactivated' && left !== undefined);
    if (!isSure && note !== run) {
      const isLive = note?.jobId !== undefined && note.holds;
      const isElsewhere = isClaim ? item.claim !== run : item.waits;
      if (known !== undefined || isLive || isElsewhere) return 'overtaken';
    }
    if (isSettled) {
      if (disposition.outcome === 'cancelled' && unknown) return 'overtaken';
      const isUnsure = unknown || known?.unknown === true;
      const { outcome } = disposition;
      if (at.batch.phase === 'inactivating' && (outcome === 'inactivated' || outcome === 'already-inactive')) {
        // Counted as ours is what our calls did, and only that.
        if (outcome === 'already-inactive') expectSame(item.ours, false);
        else if (!isUnsure) expectSame(item.ours, true);
        this.#model.mark(item, outcome === 'inactivated' ? 'ours' : 'before');
        if (isClaim) this.#model.leave(item);
        return 'marked';
      }
      const isLeft = left !== undefined && (outcome === 'cancelled' || outcome === 'inactivated');
      this.#model.end(item, isLeft ? left : outcome, disposition.byAbsence, isUnsure);
      if (isClaim) this.#model.leave(item);
      return isLeft ? left : 'settled';
    }
    const { failures, calls } = known ?? record;
    const crashes = record.crashes + (isUntold ? 1 : 0);
    item.record = { failures, calls, unknown: known?.unknown ?? unknown, crashes };
    if (disposition.kind === 'release' && !isClaim) return 'released';
    this.#model.wait(item);
    return 'waiting';
  }
}

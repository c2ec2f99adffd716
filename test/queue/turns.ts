import { setImmediate } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { CallToNote } from '../../src/ledger/call-notes.ts';
import type { LedgerKeys } from '../../src/ledger/keys.ts';
import type { Reported } from '../../src/ledger/items.ts';
import type { ItemReports } from '../../src/queue/process/item-reports.ts';
import type { Disposition, Item } from '../../src/queue/process/item.ts';
import { pulse, type Asked } from './pulse.ts';
import type { World } from './world.ts';

export interface TurnsParts {
  readonly redis: Redis;
  readonly keys: LedgerKeys;
  readonly world: World;
  readonly reports: ItemReports;
  /** Slots of each pulse; as many as are wanted when not given. */
  readonly slots?: number;
  /** Nothing is left to ask or to write. */
  readonly onStill: () => void;
}

interface Waiting<Question, Reply> {
  readonly item: Item;
  readonly question: Question;
  readonly resolve: (reply: Reply) => void;
}

/** Asks and writes for all items of a process that are ready, one script after the other, so that what happens has one order. */
export class Turns {
  readonly #parts: TurnsParts;
  readonly #asks: Waiting<CallToNote, Asked>[] = [];
  readonly #backs: Waiting<CallToNote, void>[] = [];
  readonly #writes: Waiting<Disposition, Reported | 'closed'>[] = [];
  #isTurning = false;

  constructor(parts: TurnsParts) {
    this.#parts = parts;
  }

  get isStill(): boolean {
    return !this.#isTurning && !this.#hasWork;
  }

  /** Waits for a slot, or for word that there is none. */
  ask(item: Item, question: CallToNote): Promise<Asked> {
    return this.#join(this.#asks, item, question);
  }

  /** The slot of a call ended unused. */
  takeBack(item: Item, question: CallToNote): Promise<void> {
    return this.#join(this.#backs, item, question);
  }

  write(item: Item, question: Disposition): Promise<Reported | 'closed'> {
    return this.#join(this.#writes, item, question);
  }

  get #hasWork(): boolean {
    return this.#asks.length + this.#backs.length + this.#writes.length > 0;
  }

  #join<Question, Reply>(list: Waiting<Question, Reply>[], item: Item, question: Question): Promise<Reply> {
    return new Promise((resolve) => {
      list.push({ item, question, resolve });
      void this.#turn();
    });
  }

  async #turn(): Promise<void> {
    if (this.#isTurning) return;
    this.#isTurning = true;
    while (this.#hasWork) {
      await setImmediate();
      await this.#ask();
      await setImmediate();
      await this.#write();
      await setImmediate();
    }
    this.#isTurning = false;
    await setImmediate();
    this.#parts.onStill();
  }

  async #ask(): Promise<void> {
    const [asks, backs] = [this.#asks.splice(0), this.#backs.splice(0)];
    if (asks.length + backs.length === 0) return;
    const { redis, keys, world, slots = asks.length } = this.#parts;
    const calls = asks.map(({ question }) => question);
    const back = backs.map(({ question }) => question);
    const asked = await pulse(redis, keys, slots, calls, back);
    for (const { item, resolve } of backs) {
      world.tell({ kind: 'back', item });
      resolve();
    }
    for (const [at, ask] of asks.entries()) {
      const found = asked[at];
      if (found === undefined) throw new Error('a call got no verdict');
      world.tell({ kind: 'asked', item: ask.item, ...found });
      // Without a slot it asks again.
      if (found.verdict.kind === 'go' && !found.isServed) this.#asks.push(ask);
      else ask.resolve(found);
    }
  }

  async #write(): Promise<void> {
    const writes = this.#writes.splice(0);
    if (writes.length === 0) return;
    const { reports, world } = this.#parts;
    const written = writes.map(({ item, question }) => reports.write(item, question));
    reports.flush();
    const replies = await Promise.all(written);
    for (const [at, { item, question, resolve }] of writes.entries()) {
      const reply = replies[at] ?? 'unknown';
      world.tell({ kind: 'reported', item, disposition: question, reply });
      resolve(reply);
    }
  }
}

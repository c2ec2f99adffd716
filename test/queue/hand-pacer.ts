import type { CallVerdict } from '../../src/ledger/call-notes.ts';
import type { CallReport, Grant, Reported } from '../../src/limiter/contract.ts';
import type { Item } from '../../src/queue/process/item.ts';
import type { Pacer } from '../../src/queue/process/processor.ts';
import type { Point, Stops } from './stops.ts';
import type { Turns } from './turns.ts';
import { LONG_MS, type AnswerKind, type World } from './world.ts';

/**
 * How items get their slots. `probe`: where the account is halted, one item at a time may call anyway. `closed`: its worker is leaving,
 * `noted-closed`: when the calls are noted already. `unused`: every other slot ends unused.
 */
export type GrantPlan = 'slot' | 'probe' | 'closed' | 'noted-closed' | 'unused';

/** One item in hand. */
export interface InHand {
  readonly item: Item;
  /** Of those that the process has begun. */
  readonly index: number;
  readonly answers: AnswerKind[];
  wasUnused: boolean;
}

export interface HandPacerParts {
  readonly world: World;
  readonly grant: GrantPlan;
  readonly turns: Turns;
  readonly stops: Stops;
  readonly inHand: () => InHand;
  readonly isLeaving: () => boolean;
}

/** A limiter with slots at hand, whose calls are noted by the real script. */
export class HandPacer implements Pacer {
  readonly #parts: HandPacerParts;
  #isProbing = false;

  constructor(parts: HandPacerParts) {
    this.#parts = parts;
  }

  async take({ call }: Parameters<Pacer['take']>[0]): Promise<Grant<CallVerdict>> {
    const { world, grant, turns, stops, isLeaving } = this.#parts;
    const inHand = this.#parts.inHand();
    const { item } = inHand;
    if (call === undefined) throw new Error('a deletion is noted');
    for (let point: Point = 'slot'; ; point = 'again') {
      await stops.reach(point, inHand);
      if (grant === 'closed' || isLeaving()) return this.#sentAway('closed', item);
      const isProbe = world.isHalted && grant === 'probe' && !this.#isProbing;
      if (world.isHalted && !isProbe) return this.#sentAway('halted', item);
      if (isProbe) this.#isProbing = true;
      const { verdict } = await turns.ask(item, call);
      if (verdict.kind !== 'go') {
        if (isProbe) this.#giveBackProbe();
        return { kind: 'refused', verdict };
      }
      if (grant === 'noted-closed') return this.#sentAway('closed', item);
      if (grant === 'unused' && !inHand.wasUnused) {
        inHand.wasUnused = true;
        await turns.takeBack(item, call);
        continue;
      }
      inHand.wasUnused = false;
      // Word of a halt comes while it has its slot in hand.
      if (world.isHalted && !isProbe) return this.#sentAway('halted', item);
      return { kind: 'slot', notAfterMs: 0, isProbe, verdict, report: (told) => this.#hear(told, isProbe) };
    }
  }

  #sentAway(why: 'closed' | 'halted', item: Item): Grant<CallVerdict> {
    this.#parts.world.tell({ kind: 'sent-away', item, why });
    if (why === 'closed') return { kind: 'closed' };
    return { kind: 'halted', scope: 'account', code: 'Forbidden.RAM', message: '', retryInMs: LONG_MS };
  }

  #giveBackProbe(): void {
    this.#isProbing = false;
    this.#parts.world.probesAgain += 1;
  }

  #hear(told: CallReport, isProbe: boolean): Promise<Reported> {
    const { world } = this.#parts;
    if (told.kind === 'halt') {
      const isNew = !world.isHalted;
      world.isHalted = true;
      this.#isProbing = false;
      return Promise.resolve(isNew ? 'halted' : 'nothing');
    }
    if (told.kind === 'void' && isProbe) this.#giveBackProbe();
    if (told.kind !== 'proved' || !isProbe) return Promise.resolve('nothing');
    this.#isProbing = false;
    world.isHalted = false;
    return Promise.resolve('lifted');
  }
}

import type { Redis } from 'ioredis';
import { Batches } from './batches.ts';
import { DeadLetters } from './dead-letters.ts';
import { DirectItems } from './direct-items.ts';
import { FormerLayouts } from './former-layouts.ts';
import { Items } from './items.ts';
import { ledgerKeys, type LedgerKeys, type LedgerStore } from './keys.ts';
import { Lanes } from './lanes.ts';
import { Retirements } from './retirement.ts';
import { WaitingPlace } from './waiting.ts';

/**
 * The durable record of batches, their items and outcomes, by what it is about. The parts share one store; who needs some of them asks for those,
 * as `Pick<Ledger, 'batches'>`. Each change is one step in Redis.
 */
export class Ledger implements LedgerStore {
  readonly redis: Redis;
  readonly keys: LedgerKeys;
  /** Batches as wholes: state, counts, pace. */
  readonly batches: Batches;
  /** How far submitted batches have been fed. */
  readonly lanes: Lanes;
  /** What items are, and how they end. */
  readonly items: Items;
  /** Items of direct batches: which job each is of. */
  readonly direct: DirectItems;
  /** How batches that retire certificates go through their phases. */
  readonly retirements: Retirements;
  /** Items that wait, held by no job. */
  readonly waiting: WaitingPlace;
  /** Items that ended dead. */
  readonly deadLetters: DeadLetters;
  /** What older versions left. */
  readonly former: FormerLayouts;

  /** @param prefix - with a hash tag, like `{certsweep}` */
  constructor(redis: Redis, prefix: string) {
    this.redis = redis;
    this.keys = ledgerKeys(prefix);
    this.batches = new Batches(this);
    this.lanes = new Lanes(this);
    this.items = new Items(this);
    this.direct = new DirectItems(this);
    this.retirements = new Retirements(this);
    this.waiting = new WaitingPlace(this);
    this.deadLetters = new DeadLetters(this, this.batches);
    this.former = new FormerLayouts(this, this.batches);
  }
}

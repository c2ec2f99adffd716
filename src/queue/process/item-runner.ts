import { FIRST_ATTEMPT } from '../../core/decide.ts';
import type { Disposition, Item } from './item.ts';
import type { ItemReports } from './item-reports.ts';
import { dead } from './endings.ts';

/** Whether an item still needs its job. */
export type Holding = 'left' | 'stays';

/** Its own run ended before it could say more. */
const REFUSED = 'the job was refused when it came in: add it again to see why';

/** Has items processed, and the outcome of each written. */
export class ItemRunner {
  readonly #process: (item: Item) => Promise<Disposition>;
  readonly #reports: Pick<ItemReports, 'write'>;
  #inHand = 0;

  constructor(process: (item: Item) => Promise<Disposition>, reports: Pick<ItemReports, 'write'>) {
    this.#process = process;
    this.#reports = reports;
  }

  /** Items that are being worked on. */
  get inHand(): number {
    return this.#inHand;
  }

  async run(item: Item): Promise<Holding> {
    this.#inHand += 1;
    try {
      return await (item.refused === undefined
        ? this.#write(item, await this.#process(item))
        : this.endDead(item, { code: item.refused, message: REFUSED }));
    } finally {
      this.#inHand -= 1;
    }
  }

  async runAll(items: readonly Item[]): Promise<Holding[]> {
    return Promise.all(items.map((item) => this.run(item)));
  }

  async runOneByOne(items: readonly Item[]): Promise<Holding[]> {
    const ends: Holding[] = [];
    for (const item of items) ends.push(await this.run(item));
    return ends;
  }

  /** Without a call. */
  async endDead(item: Item, why: { readonly code: string; readonly message: string }): Promise<Holding> {
    return this.#write(item, dead(FIRST_ATTEMPT, why, '', true));
  }

  async #write(item: Item, disposition: Disposition): Promise<Holding> {
    const reported = await this.#reports.write(item, disposition);
    // Unwritten, it is taken up with its job.
    return reported === 'released' || reported === 'closed' || disposition.kind === 'release' ? 'stays' : 'left';
  }
}

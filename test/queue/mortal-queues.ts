import { AccountQueues } from '../../src/queue/queues.ts';

/**
 * Where a feeder dies: before its blocks are in the queue, with those of one lane in it and noted, or before it has noted that they are. One that stalls
 * does so before it has noted them, or before they are in the queue, and may go on when much has happened.
 */
export type FeederDeath = 'before' | 'between' | 'after' | 'stalls' | 'stalls-before';

/** The queues as a feeder sees them that may die: it never hears of its blocks again, or only when it goes on. */
export class MortalQueues extends AccountQueues {
  #death: FeederDeath | undefined;
  #mayAdd = 0;
  #die: (goOn: () => void) => void = () => undefined;

  /** The next feeder dies so. @returns what resolves then, with what has it go on */
  untilDeath(death?: FeederDeath): Promise<() => void> {
    this.#death = death;
    this.#mayAdd = death === 'between' ? 1 : 0;
    return new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  override async addBlocks(...[blocks, priority]: Parameters<AccountQueues['addBlocks']>): Promise<void> {
    if (blocks.length === 0) return;
    const death = this.#death;
    if (death === undefined || this.#mayAdd > 0) {
      this.#mayAdd -= 1;
      return super.addBlocks(blocks, priority);
    }
    this.#death = undefined;
    if (death === 'after' || death === 'stalls') await super.addBlocks(blocks, priority);
    await new Promise<void>((resolve) => this.#die(resolve));
    if (death === 'stalls-before') await super.addBlocks(blocks, priority);
  }
}

import type { FeederEvent } from '../../src/queue/feed/feeder.ts';
import type { AccountQueues } from '../../src/queue/queues.ts';
import { ACCOUNT, FeedStage, INSTANCES, type StagedFeeder } from './feed/feed-stage.ts';
import { MortalQueues, type FeederDeath } from './mortal-queues.ts';
import type { World } from './world.ts';

/** A feeder in the middle of a round. */
interface StalledFeeder {
  readonly events: FeederEvent[];
  readonly round: Promise<unknown>;
  readonly goOn: () => void;
}

/** Real feeders that are moved by hand, and can die or stall. */
export class FeedingStage extends FeedStage {
  readonly world: World;
  readonly #feeding = new MortalQueues(this.connection, this.keys.prefix, ACCOUNT);
  readonly #stalled: StalledFeeder[] = [];
  readonly #lowWater: number;
  #staged: StagedFeeder;

  constructor(world: World, lowWater: number) {
    super();
    this.world = world;
    this.#lowWater = lowWater;
    this.#staged = this.#openFeeder();
  }

  /** One round, or two of two processes at once; a feeder that dies is followed by another. @returns what they told */
  async feed(feeders: 1 | 2 = 1, death?: FeederDeath): Promise<FeederEvent[]> {
    const dead = this.#feeding.untilDeath(death);
    const second = feeders === 2 ? [this.#openFeeder(this.queues, this.#lowWater + 3)] : [];
    const staged = [this.#staged, ...second];
    for (const { halted } of staged) {
      halted.clear();
      if (this.world.isHalted) for (const instance of INSTANCES) halted.add(instance);
    }
    const rounds = staged.map(async ({ feeder }) => {
      await feeder.feed();
      return undefined;
    });
    const [goOn] = await Promise.all(
      rounds.map((round, at) => Promise.race<(() => void) | undefined>([round, ...(at === 0 ? [dead] : [])])),
    );
    void this.#feeding.untilDeath();
    const events = staged.flatMap((feeder) => feeder.events.splice(0));
    const [round] = rounds;
    if (goOn !== undefined && round !== undefined) {
      if (death === 'stalls' || death === 'stalls-before')
        this.#stalled.push({ events: this.#staged.events, round, goOn });
      this.#staged = this.#openFeeder();
    }
    return events;
  }

  get stalledFeeders(): number {
    return this.#stalled.length;
  }

  /** A feeder that stalled goes on to the end of its round, with what it read before. @returns what it told */
  async goOnFeeding(at = 0): Promise<FeederEvent[]> {
    const [one] = this.#stalled.splice(at % this.#stalled.length, 1);
    one?.goOn();
    await one?.round;
    return one?.events.splice(0) ?? [];
  }

  /** So much time passes that items which nothing holds are lost. */
  passTime(): void {
    this.#staged.pass(10_000);
  }

  override async close(): Promise<void> {
    await this.#feeding.close();
    await super.close();
  }

  #openFeeder(queues: AccountQueues = this.#feeding, lowWater = this.#lowWater): StagedFeeder {
    return this.feeder({ lowWater, breaker: { maxDeadShare: 0.5, minSample: 4 }, queues });
  }
}

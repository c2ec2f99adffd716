import type { GrantPlan } from './hand-pacer.ts';
import { HandStage, INSTANCES, type Taken } from './hand-stage.ts';
import type { RunPlan, World } from './hand.ts';
import type { Point, Standstill, StopPlan } from './stops.ts';
import type { AnswerKind } from './world.ts';

export interface TakeSettings {
  /** From the queues, or from what waits, or from either. */
  readonly from?: 'any' | 'queue' | 'waiting';
  readonly grant?: GrantPlan;
  /** Stops for this certificate only. */
  readonly stopFor?: string;
}

/** One job or waiting item at a time, each in a process of its own. */
export class StepStage extends HandStage {
  /** What each process that is stopped has a claim on. */
  readonly #claims = new Map<string, string>();

  constructor(world: World) {
    super(world, { maxStalled: 100, lowWater: 60 });
  }

  /** Hands the next job or waiting item to a process, also one that waits for its time, after all that are ready. */
  async take(answers: readonly AnswerKind[] = [], stopAt?: Point, settings: TakeSettings = {}): Promise<Taken> {
    const taken = await this.takeIfAny(answers, stopAt, settings);
    if (taken === undefined) throw new Error('there is nothing to take');
    return taken;
  }

  /** @returns for a waiting item, the batch and the ordinal as its id */
  async takeIfAny(
    answers: readonly AnswerKind[] = [],
    stopAt?: Point,
    { from = 'any', grant = 'slot', stopFor }: TakeSettings = {},
  ): Promise<Taken | undefined> {
    const plan: RunPlan = { answers, grant };
    const still =
      stopAt && ({ point: stopAt, ...(stopFor !== undefined && { deviceSn: stopFor }) } satisfies Standstill);
    const stops: StopPlan = still ?? [];
    const ready = (): Promise<Taken | undefined> => this.takeJob(plan, false, stops);
    const waiting = (): Promise<Taken | undefined> => this.#takeOne(plan, stops);
    const late = (): Promise<Taken | undefined> => this.takeJob(plan, true, stops);
    const ways = { any: [ready, waiting, late], queue: [ready, late], waiting: [waiting] };
    for (const way of ways[from]) {
      const taken = await way();
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  override async goOn(process: string): Promise<void> {
    await super.goOn(process);
    this.#claims.delete(process);
  }

  /** The process stands still for longer than its lock, so that others may take the job; or for longer than its claim. */
  override async loseLock(id: string): Promise<void> {
    for (const [process, member] of this.#claims) if (member === id) this.#claims.delete(process);
    await super.loseLock(id);
  }

  /** Ids of the jobs that are in the queues, active ones too. */
  async jobIds(): Promise<string[]> {
    return Object.values(await this.jobPlaces())
      .flat()
      .toSorted();
  }

  /** The first item that waits and that no stopped process has a claim on. */
  async #takeOne(plan: RunPlan, stops: StopPlan): Promise<Taken | undefined> {
    const claimed = new Set(this.#claims.values());
    await this.wake((member) => !claimed.has(member));
    for (const instanceId of INSTANCES) {
      let id = '';
      const hear = async ([claim]: readonly { batch: string; n: number }[], process: string): Promise<void> => {
        id = `${claim?.batch ?? ''} ${claim?.n ?? ''}`;
        this.#claims.set(process, id);
      };
      const taken = await this.takeWaiting(plan, stops, 1, hear, [instanceId]);
      if (taken === undefined) continue;
      if (!taken.isStopped) this.#claims.delete(taken.process);
      return { ...taken, id };
    }
    return undefined;
  }
}

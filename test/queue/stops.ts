import { setImmediate } from 'node:timers/promises';
import type { Item } from '../../src/queue/process/item.ts';

/**
 * Where an item can be stopped: before it has its slot, when that ended unused and it waits for another, when its call is noted but does nothing yet,
 * before the answer is heard, before its end is written. And where its job can be: when that is done for all of its items but the job is not moved, and
 * when the job's work has ended but it is not completed.
 */
export const ITEM_POINTS = ['slot', 'again', 'sent', 'answered', 'settling'] as const;
export const JOB_POINTS = ['written', 'ended'] as const;
export const POINTS = [...ITEM_POINTS, ...JOB_POINTS];
export type Point = (typeof POINTS)[number];

/** The process stands still as one: from when an item, or the one that is named, is at the point. */
export interface Standstill {
  readonly point: Point;
  readonly deviceSn?: string;
}

/** Of each item, the next beginning with the second; or of the process. */
export type StopPlan = readonly (Point | undefined)[] | Standstill;

/** Stops a process where its plan says, and has it go on. */
export class Stops {
  readonly #held: (() => void)[] = [];
  readonly #inHand: () => number;
  readonly #isStill: () => boolean;
  #plan: StopPlan = [];
  #isStanding = false;
  #stopped: () => void = () => undefined;
  #end: Promise<unknown> = Promise.resolve();

  /** @param inHand - how many items the process has begun and not ended. @param isStill - it waits for nothing */
  constructor(inHand: () => number, isStill: () => boolean) {
    this.#inHand = inHand;
    this.#isStill = isStill;
  }

  /** Resolves when the run has ended or is stopped. @returns whether it is stopped */
  async begin(run: () => Promise<unknown>, plan: StopPlan): Promise<boolean> {
    const stopped = new Promise<boolean>((resolve) => {
      this.#stopped = () => resolve(true);
    });
    this.#plan = plan;
    this.#end = run();
    return Promise.race([stopped, this.#end.then(() => false)]);
  }

  /** The run goes on to its end. */
  async goOn(): Promise<void> {
    this.#plan = [];
    this.#isStanding = false;
    for (const goOn of this.#held.splice(0)) goOn();
    await this.#end;
  }

  /** @param index - of the item, of those that the process has begun */
  async reach(point: Point, { index, item }: { readonly index: number; readonly item: Item }): Promise<void> {
    const plan = this.#plan;
    if ('point' in plan) {
      const { deviceSn = item.certificate.deviceSn } = plan;
      await this.#standStill(point === plan.point && deviceSn === item.certificate.deviceSn);
    } else if (plan.length > 0 && plan[index % plan.length] === point) await this.#hold();
  }

  async reachJob(point: Point): Promise<void> {
    const plan = this.#plan;
    if ('point' in plan) await this.#standStill(point === plan.point);
    else if (plan.includes(point)) await this.#hold();
  }

  /** Stopped it is when each item in hand is. */
  look(): void {
    const held = this.#held.length;
    if (held > 0 && held >= this.#inHand() && this.#isStill()) this.#stopped();
  }

  async #standStill(begins: boolean): Promise<void> {
    if (begins && !this.#isStanding) {
      this.#isStanding = true;
      this.#stopped();
    }
    if (this.#isStanding) await this.#hold();
  }

  async #hold(): Promise<void> {
    const goesOn = new Promise<void>((resolve) => this.#held.push(resolve));
    // Others may be about to begin.
    void setImmediate().then(() => this.look());
    await goesOn;
  }
}

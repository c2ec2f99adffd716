import { SECOND_US, type Asker, type GivenSlot } from './virtual-time.ts';

/** The slots given, by clock. */
export class Given {
  readonly #slots = new Map<string, GivenSlot[]>();

  add({ account, egress }: Asker, slots: readonly GivenSlot[]): void {
    for (const clock of [`account ${account}`, `egress ${egress}`]) {
      this.#slots.set(clock, [...(this.#slots.get(clock) ?? []), ...slots]);
    }
  }

  /** The most calls that can leave in any sliding second, when each leaves at the worst moment that its slot allows. */
  worst(clock: string, fromUs = 0): number {
    const slots = (this.#slots.get(clock) ?? []).filter((slot) => slot.fromUs >= fromUs);
    const counts = slots.map(({ endUs: second }) => {
      return slots.filter((slot) => slot.endUs >= second && slot.fromUs < second + SECOND_US).length;
    });
    return Math.max(0, ...counts);
  }
}

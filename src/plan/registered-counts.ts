import type { RegisteredDevice } from '../core/registered.ts';
import { DuplicateDetector } from '../manifest/duplicate-detector.ts';

/** How many certificates each CA has, each counted once however often the pages of a listing show it. Must be closed. */
export class RegisteredCounts {
  readonly #seen = new DuplicateDetector();
  readonly #counts = new Map<string, number>();

  /** @throws ScratchUnavailable */
  see(instanceId: string, { caSn, deviceSn }: RegisteredDevice): void {
    if (this.#seen.add({ instanceId, caSn, deviceSn })) this.count(instanceId, caSn);
  }

  /** Counts one that is known to be seen for the first time: it takes no memory. */
  count(instanceId: string, caSn: string): void {
    const key = `${instanceId}\n${caSn}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  of(instanceId: string, caSn: string): number {
    return this.#counts.get(`${instanceId}\n${caSn}`) ?? 0;
  }

  close(): void {
    this.#seen.close();
  }
}

import type { LimiterNotice } from './contract.ts';

const QUIET_MS = 10_000;

interface Entry {
  notBeforeMs: number;
  count: number;
}

/** Passes notices on, at most one of a kind in ten seconds; each counts those withheld since the last. */
export class NoticeBoard {
  readonly #publish: ((notice: LimiterNotice) => void) | undefined;
  /** All that was ever posted, by kind: the notices come late. */
  readonly totals: Record<LimiterNotice['kind'], number> = {
    'reservation-late': 0,
    'slots-void': 0,
    'redis-unavailable': 0,
  };
  readonly #entries = new Map<LimiterNotice['kind'], Entry>();

  constructor(publish: ((notice: LimiterNotice) => void) | undefined) {
    this.#publish = publish;
  }

  post(notice: LimiterNotice): void {
    if (notice.count === 0) return;
    this.totals[notice.kind] += notice.count;
    const nowMs = performance.now();
    const entry = this.#entries.get(notice.kind) ?? { notBeforeMs: 0, count: 0 };
    entry.count += notice.count;
    this.#entries.set(notice.kind, entry);
    if (nowMs < entry.notBeforeMs) return;
    this.#publish?.({ ...notice, count: entry.count });
    entry.notBeforeMs = nowMs + QUIET_MS;
    entry.count = 0;
  }
}

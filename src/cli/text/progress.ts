import { duration, groupDigits } from '../../core/counting.ts';
import type { BatchDetail } from '../../app/overview.ts';
import { endsOf } from './action.ts';
import { cut } from './fit.ts';
import { say } from './terminal.ts';

/** Without a terminal: milliseconds between two plain lines, so that a log stays readable. */
const PLAIN_EVERY_MS = 10_000;
const BAR = 24;
const SHORTEST_BAR = 5;

/** The progress of a batch on stderr: a line that is redrawn on a terminal, plain lines elsewhere. */
export class Progress {
  #drawn = false;
  #lastPlainMs = Number.NEGATIVE_INFINITY;
  #lastPlain = '';

  show(detail: BatchDetail, paceQps?: number): void {
    const line = progressLine(detail, paceQps);
    if (process.stderr.isTTY) {
      // A terminal that is made of a pipe says 0.
      const width = (process.stderr.columns || 80) - 1;
      const drawn = cut(`${barFor(detail, width - line.length)}${line}`, width);
      process.stderr.write(`\r\u001B[2K${drawn}`);
      this.#drawn = true;
    } else if (performance.now() - this.#lastPlainMs >= PLAIN_EVERY_MS && line !== this.#lastPlain) {
      this.#lastPlainMs = performance.now();
      this.#lastPlain = line;
      say(line);
    }
  }

  /** Leaves the line as it is and continues below it. */
  end(): void {
    if (this.#drawn) process.stderr.write('\n');
    this.#drawn = false;
  }
}

/** A bar of the space that is left; none where that is too little, since the numbers say more. */
function barFor({ accepted, pending }: BatchDetail, space: number): string {
  const width = Math.min(BAR, space - 3);
  if (width < SHORTEST_BAR) return '';
  const full = accepted === 0 ? width : Math.floor(((accepted - pending) / accepted) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}] `;
}

/** `3,120 of 5,000  271/s of 280  revoked 3,020  already gone 41  dead 59  ETA 7 s`. */
function progressLine(detail: BatchDetail, paceQps: number | undefined): string {
  const { action, accepted, pending, state, ratePerSecond, etaSeconds } = detail;
  const rate = `${Math.round(ratePerSecond)}/s${paceQps === undefined ? '' : ` of ${paceQps}`}`;
  const parts = [
    `${groupDigits(accepted - pending)} of ${groupDigits(accepted)}`,
    state === 'running' ? rate : state,
    ...endsOf(action, detail)
      .filter(({ outcome, items }) => outcome !== 'cancelled' || items > 0)
      .map(({ label, items }) => `${label} ${groupDigits(items)}`),
    ...(pending > 0 ? [`ETA ${etaSeconds === null ? '-' : duration(etaSeconds)}`] : []),
  ];
  return parts.join('  ');
}

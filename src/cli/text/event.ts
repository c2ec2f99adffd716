import { count } from '../../core/counting.ts';
import type { LogEvent, LogLevel } from '../../runtime/logger.ts';
import { printable } from '../../core/printable.ts';

/** Something that happened, in a person's words. */
export interface Happening {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly text: string;
  /** Of level warn or error: it is never cut, and never dropped unseen. */
  readonly isProblem: boolean;
}

/** Events that a screen shows as numbers: one line for each would push everything else away. */
const COUNTED: ReadonlySet<string> = new Set(['settled', 'answer']);

/** The words for an event; undefined for one that is only counted. Whatever names a problem has words, with all its fields. */
export function describeEvent(level: LogLevel, told: LogEvent): string | undefined {
  const isProblem = level === 'warn' || level === 'error';
  if (!isProblem) return COUNTED.has(told.event) || level === 'debug' ? undefined : describeNews(told);
  const { event, message, ...fields } = told;
  const sentence = message ?? lossOf(event);
  const about = Object.entries(fields)
    // Notices of the limiter name their kind twice.
    .filter(([, value]) => value !== undefined && value !== '' && value !== event && !isSaid(sentence, value))
    .map(([name, value]) => `${name} ${textOf(value)}`);
  return printable(`${sentence} (${[event, ...about].join(', ')})`);
}

function describeNews({ event, message, ...fields }: LogEvent): string {
  switch (event) {
    case 'worker-started':
      return 'the worker has started';
    case 'worker-stopping':
      return printable(
        `stopping (${textOf(fields['reason'])}): ${count(Number(fields['inHand']), 'item')} in hand, calls under way may end`,
      );
    case 'worker-stopped':
      return 'the worker has stopped';
    case 'batch-completed':
      return printable(`batch ${textOf(fields['batch'])} is completed`);
    default:
      return printable(message ?? [event, ...Object.entries(fields).map(([k, v]) => `${k} ${textOf(v)}`)].join(' '));
  }
}

/** What the limiter says about lost slots comes without a sentence. */
function lossOf(event: string): string {
  switch (event) {
    case 'reservation-late':
      return 'Pace lost: Redis answered too late';
    case 'slots-void':
      return 'Pace lost: this process or its machine stalled';
    default:
      return event;
  }
}

function isSaid(sentence: string, value: unknown): boolean {
  return typeof value === 'string' && sentence.includes(value);
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(Math.round(value * 10) / 10) : (JSON.stringify(value) ?? '');
}

import { pino } from 'pino';
import { printableJson } from '../core/printable.ts';
import type { Config } from './config/config.ts';

/** One thing that a process tells: `event` names it, `message` says it to a person, the rest are fields that keep their names over versions. */
export interface LogEvent {
  readonly event: string;
  readonly message?: string | undefined;
  readonly [field: string]: unknown;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Takes what a process tells, one event each: lines of JSON for machines, or a screen for a person. */
export interface EventLog extends Readonly<Record<LogLevel, (event: LogEvent) => void>> {
  /** For what was done, and by whom: no level hides it. Absent where nothing of what is told is kept. */
  readonly record?: ((event: LogEvent) => void) | undefined;
}

/** Lines that wait for their write take no more than this, characters: what a pipe takes in one piece on every system. */
const MOST_GATHERED = 4_096;

/** How a line begins that may wait. */
const GATHERED_LEVEL = '{"level":"info"';

/** Structured lines on stderr. Standard output is for data. */
export function createLogger(level: Config['log']['level']): EventLog {
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
      errorKey: 'error',
      // A terminal shows the log as well.
      hooks: { streamWrite: printableJson },
    },
    // Synchronous, so that the last words of a process that ends are not lost.
    gathered(pino.destination({ fd: 2, sync: true })),
  );
  const record = log.child({}, { level: 'info' });
  return Object.assign(log, { record: (event: LogEvent) => record.info(event) });
}

/**
 * Lines that are logged together, such as those of a report's items, are one write: a write costs more than a line. They leave before the process
 * does anything else, and before it ends. A line of trouble is written at once, before anything that is printed beside the log.
 */
function gathered(destination: { write(text: string): unknown }): { write(line: string): void } {
  let text = '';
  const flush = (): void => {
    const lines = text;
    text = '';
    if (lines !== '') destination.write(lines);
  };
  process.on('exit', flush);
  return {
    write(line) {
      if (text === '') queueMicrotask(flush);
      else if (text.length + line.length > MOST_GATHERED) flush();
      text += line;
      if (!line.startsWith(GATHERED_LEVEL)) flush();
    },
  };
}

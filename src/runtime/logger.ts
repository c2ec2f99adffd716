import { pino, type Logger } from 'pino';
import { printableJson } from '../core/printable.ts';
import type { Config } from './config/config.ts';

export type { Logger } from 'pino';

/** Structured lines on stderr, one event each: `event` names it, fields keep their names over versions. Standard output is for data. */
export function createLogger(level: Config['log']['level']): Logger {
  return pino(
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
    pino.destination({ fd: 2, sync: true }),
  );
}

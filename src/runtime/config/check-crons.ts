import { CronExpressionParser } from 'cron-parser';

/** From here on a time is looked for: any moment would do. */
const ANY_TIME = new Date('2026-01-01T00:00:00Z');

/**
 * Why this is no cron expression; undefined where it is one that has a next time. A file of its own, since no command but those with schedules
 * should pay for loading the parser.
 */
export function cronFault(expression: string): string | undefined {
  try {
    CronExpressionParser.parse(expression, { currentDate: ANY_TIME, tz: 'UTC' }).next();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

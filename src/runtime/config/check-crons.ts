import { CronExpressionParser } from 'cron-parser';

/** From here on a time is looked for: any moment would do. */
const ANY_TIME = new Date('2026-01-01T00:00:00Z');

/**
 * Why this is not a cron expression; undefined if it is one with a next time. A separate file, since no command but those with schedules
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

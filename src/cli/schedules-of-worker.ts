import type { ScheduleEvent } from '../app/schedules.ts';
import { storeOn, type OpenConnection, type OpenStore } from '../app/store.ts';
import type { Config } from '../runtime/config/config.ts';
import type { EventLog, LogLevel } from '../runtime/logger.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';

/** The schedules that a worker runs. */
export interface RunningSchedules {
  /** A run that is under way ends; another worker takes its occurrence up. */
  close(): Promise<void>;
}

/** Runs the schedules of the configuration, and logs what becomes of them; undefined where it has none. */
export async function startSchedules(
  config: Config,
  open: OpenConnection,
  log: EventLog,
): Promise<RunningSchedules | undefined> {
  if (config.schedules.length === 0) return undefined;
  // The worker itself appends what this process changes to the audit file.
  const { auditFile: _workers, ...on } = storeOn(config, open, open.another('producer'), {});
  const store: OpenStore = { ...on, another: (role) => open.another(role), close: () => open.close() };
  // Loaded here: a worker without schedules should not pay for the parser.
  const app = await import('../app/schedules.ts');
  return app.startSchedules(
    store,
    (event) => logEvent(log, event),
    (schedule, error) => {
      log.warn({ event: 'trouble', during: 'running a schedule', schedule, message: describeRedisError(error) });
    },
  );
}

function logEvent(log: EventLog, event: ScheduleEvent): void {
  const { schedule } = event;
  if (event.kind === 'paused') {
    log.warn({ event: 'schedule-paused', schedule, reason: event.reason, message: pausedMessage(schedule) });
    return;
  }
  const { occurrence, state, batch, reason, isStopped } = event.end;
  const fields = { schedule, occurrence, batch: batch ?? undefined, reason };
  const message = `schedule ${schedule}: ${occurrence} is ${state}: ${reason}`;
  log[isStopped === true ? 'warn' : LEVELS[state]]({ event: `schedule-${state}`, ...fields, message });
  if (event.isPaused) log.warn({ event: 'schedule-paused', schedule, reason, message: pausedMessage(schedule) });
}

const LEVELS: Readonly<Record<Extract<ScheduleEvent, { kind: 'ended' }>['end']['state'], LogLevel>> = {
  activated: 'info',
  planned: 'info',
  skipped: 'warn',
  failed: 'error',
};

function pausedMessage(schedule: string): string {
  return `The schedule has paused itself: see certsweep schedule list, and continue it with certsweep schedule resume ${schedule}.`;
}

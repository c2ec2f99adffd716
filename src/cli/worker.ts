import type { Command } from 'commander';
import { openConnection, type OpenConnection } from '../app/store.ts';
import type { Worker } from '../queue/worker/worker.ts';
import { WorkerConflict } from '../queue/worker/worker-registry.ts';
import type { Config } from '../runtime/config/config.ts';
import { missingCredentials } from '../runtime/config/config.ts';
import { jobKeyMissing, jobKeyOf } from '../runtime/config/job-key.ts';
import { environment } from '../runtime/environment.ts';
import { openHealthPort, type HealthPort } from '../runtime/health.ts';
import type { EventLog } from '../runtime/logger.ts';
import { checkRedis } from '../runtime/redis/check-redis.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { describeNotice } from '../runtime/redis/notice.ts';
import { isVerificationOff, VERIFY_REMEDY } from '../runtime/tls.ts';
import { onLeaveSignal, type LeaveSignal } from '../runtime/shutdown.ts';
import { VERSION } from '../runtime/version.ts';
import type { Redis } from 'ioredis';
import type { HttpServer } from '../http/server.ts';
import { cannotListen, CommandEnd, EXIT } from './exit.ts';
import { say } from './text/terminal.ts';
import { startSchedules, type RunningSchedules } from './schedules-of-worker.ts';
import { startServing } from './serve.ts';
import { configOf, type CommonOptions } from './session.ts';
import { openVoice, type WorkerVoice } from './worker-voice.ts';

/** After the first signal the process is gone within so long, whatever hangs; a supervisor should wait a little longer before it kills. */
const LEAVE_WITHIN_MS = 10_000;
/** Calls under way may take so long of it to end. */
const DRAIN_DEADLINE_MS = 8_000;
const LIVE_EVERY_MS = 1_000;
const SILENT = 'The worker gets no jobs although some are ready, even after it reconnected: start it again.';

interface WorkerOptions extends CommonOptions {
  readonly serve?: boolean;
  readonly jsonLogs?: boolean;
}

export function addWorker(program: Command): void {
  program
    .command('worker')
    .summary('work on the queues of all configured accounts until told to stop')
    .description(
      'Runs until SIGTERM, SIGINT or SIGHUP, then finishes the calls under way (up to 8 s), gives back the rest, and exits within 10 s, even if Redis hangs. A second signal exits at once. On a terminal it shows what it does; elsewhere it logs lines of JSON on stderr.',
    )
    .option('--serve', 'serve the HTTP API as well, like certsweep serve in this process')
    .option('--json-logs', 'lines of JSON on a terminal too')
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .action(async (options: WorkerOptions) => {
      const config = await configOf(options);
      refuseUnverified();
      refuseIncomplete(config);
      refuseWithoutJobKey(config);
      const leave = onLeaveSignal();
      const voice = openVoice(config, options.jsonLogs === true);
      const { log } = voice;
      void leaveInTime(leave.wait, voice);
      try {
        const open = await openConnection(config, 'worker', {
          notice: (event) => log.info({ event: `redis-${event.kind}`, message: describeNotice(event) }),
          onError: (error) => log.warn({ event: 'redis-connection', message: describeRedisError(error) }),
        });
        try {
          await work({ config, open, voice, leave: leave.wait, serves: options.serve === true });
        } finally {
          await open.close();
        }
      } finally {
        voice.close();
        leave.forget();
      }
      // What still waits for a Redis that is away would keep the process.
      process.exit();
    });
}

async function leaveInTime(told: Promise<LeaveSignal>, voice: WorkerVoice): Promise<void> {
  process.exitCode = (await told) === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
  endAnyway(voice);
}

/** The last resort, where closing waits for what does not come. A person still reads the error. */
function endAnyway(voice: WorkerVoice, failure?: string): void {
  const end = (): void => {
    const message = 'Closing took too long. Other workers take over the rest when its locks expire.';
    voice.log.warn({ event: 'worker-left', message });
    voice.close();
    if (failure !== undefined) say(failure);
    process.exit();
  };
  setTimeout(end, LEAVE_WITHIN_MS).unref();
}

interface Surroundings {
  readonly config: Config;
  readonly open: OpenConnection;
  readonly voice: WorkerVoice;
  readonly leave: Promise<LeaveSignal>;
  /** Whether HTTP is served as well. */
  readonly serves: boolean;
}

async function work({ config, open, voice, leave, serves }: Surroundings): Promise<void> {
  const { log } = voice;
  const { redis, gone } = open;
  await refuseUnsafeRedis(redis, log);
  // Loaded here: BullMQ and the SDK take half a second, which no other command should pay.
  const { startWorker } = await import('../queue/worker/worker.ts');
  const worker = await startWorker({ config, redis, environment, log }).catch((error: unknown) => {
    throw error instanceof WorkerConflict ? new CommandEnd(EXIT.refused, error.message) : error;
  });
  voice.follow(worker, redis);
  let health: HealthPort | undefined;
  let server: HttpServer | undefined;
  let schedules: RunningSchedules | undefined;
  try {
    health = await openHealth(config, worker);
    if (serves) server = await startServing(config, open, log);
    const accounts = config.accounts.map(({ name, qps, endpoint }) => ({ name, qps, endpoint }));
    log.info({ event: 'worker-started', version: VERSION, accounts, egress: config.egress, healthPort: health?.port });
    schedules = await startSchedules(config, open, log);
    const { reason, failure } = await reasonToLeave(worker, leave, gone);
    log.info({ event: 'worker-stopping', reason, inHand: worker.inHand });
    if (failure !== undefined) {
      process.exitCode = EXIT.refused;
      endAnyway(voice, failure);
      throw new CommandEnd(EXIT.refused, failure);
    }
  } finally {
    await server?.close();
    await Promise.all([schedules?.close(), worker.close(DRAIN_DEADLINE_MS)]);
    await health?.close();
    log.info({ event: 'worker-stopped' });
  }
}

async function openHealth({ health: { host, port } }: Config, worker: Worker): Promise<HealthPort | undefined> {
  if (port === undefined) return undefined;
  const questions = {
    isLive: () => worker.isLive,
    notReadyBecause: () => worker.notReadyBecause(),
    metrics: () => worker.metrics(),
  };
  return openHealthPort(host, port, questions).catch((error: unknown) => {
    throw cannotListen('health.port', port, error);
  });
}

interface ReasonToLeave {
  readonly reason: LeaveSignal | 'silent' | 'must-leave' | 'redis-gone';
  /** What a person reads; undefined where one has asked for it. */
  readonly failure?: string;
}

async function reasonToLeave(
  worker: Worker,
  leave: Promise<LeaveSignal>,
  gone: Promise<Error>,
): Promise<ReasonToLeave> {
  let watch: NodeJS.Timeout | undefined;
  const failure = new Promise<ReasonToLeave>((resolve) => {
    watch = setInterval(() => {
      if (worker.mustLeaveBecause !== undefined) resolve({ reason: 'must-leave', failure: worker.mustLeaveBecause });
      else if (!worker.isLive) resolve({ reason: 'silent', failure: SILENT });
    }, LIVE_EVERY_MS);
  });
  const asked = leave.then((signal): ReasonToLeave => ({ reason: signal }));
  const lost = gone.then(({ message }): ReasonToLeave => ({ reason: 'redis-gone', failure: message }));
  const reason = await Promise.race([asked, failure, lost]);
  clearInterval(watch);
  return reason;
}

function refuseUnverified(): void {
  if (!isVerificationOff(environment)) return;
  throw new CommandEnd(
    EXIT.refused,
    `NODE_TLS_REJECT_UNAUTHORIZED is 0, so libraries would give keys to any server: ${VERIFY_REMEDY}.`,
  );
}

function refuseIncomplete(config: Config): void {
  if (config.accounts.length === 0) {
    throw new CommandEnd(
      EXIT.usage,
      `The configuration (${config.source}) has no account: add one under accounts.<name> with its region and instances.`,
    );
  }
  const missing = config.accounts.flatMap((account) =>
    missingCredentials(account, environment).map((name) => `  ${name}, for account ${account.name}`),
  );
  if (missing.length > 0) {
    throw new CommandEnd(
      EXIT.usage,
      [
        'These environment variables are not set, or their files cannot be read:',
        ...missing,
        'Set them, or the file of each with _FILE after its name, or name others under accounts.<name>.credentials.',
      ].join('\n'),
    );
  }
}

function refuseWithoutJobKey({ accounts }: Config): void {
  const signed = accounts.filter(({ direct }) => direct.accept === 'signed').map(({ name }) => name);
  if (jobKeyOf(environment) === undefined && signed.length > 0) throw new CommandEnd(EXIT.usage, jobKeyMissing(signed));
}

async function refuseUnsafeRedis(redis: Redis, log: EventLog): Promise<void> {
  const check = await checkRedis(redis);
  const refused = check.faults.filter(({ severity }) => severity === 'refuse');
  for (const { thing, value, remedy, severity } of check.faults) {
    if (severity === 'warn') log.warn({ event: 'redis-check', thing, value, message: remedy });
  }
  if (refused.length === 0) return;
  const lines = refused.map(({ thing, value, remedy }) => `  ${thing} is ${value}: ${remedy}`);
  throw new CommandEnd(
    EXIT.refused,
    ['This Redis cannot be trusted with the queue and the ledger:', ...lines].join('\n'),
  );
}

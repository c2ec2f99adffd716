import type { Command } from 'commander';
import { openConnection, storeOn, type OpenConnection } from '../app/store.ts';
import type { HttpServer } from '../http/server.ts';
import type { Config } from '../runtime/config/config.ts';
import { jobKeyOf } from '../runtime/config/job-key.ts';
import { environment } from '../runtime/environment.ts';
import { createLogger, type EventLog } from '../runtime/logger.ts';
import { describeRedisError } from '../runtime/redis/describe-error.ts';
import { describeNotice } from '../runtime/redis/notice.ts';
import { onLeaveSignal, type LeaveSignal } from '../runtime/shutdown.ts';
import { VERSION } from '../runtime/version.ts';
import { cannotListen, CommandEnd, EXIT } from './exit.ts';
import { configOf, type CommonOptions } from './session.ts';

/** After a signal the process is gone within so long, whatever hangs. */
const LEAVE_WITHIN_MS = 10_000;

export function addServe(program: Command): void {
  program
    .command('serve')
    .summary('answer programs and browsers over HTTP until told to stop')
    .description(
      'Serves the HTTP API on http.host and http.port, 127.0.0.1 and 9480 unless the configuration says otherwise. Runs until SIGTERM, SIGINT or SIGHUP. Without http.tokens everybody on this host may read, and nobody may change anything. It stores nothing itself: any number may run, on any host. It logs lines of JSON on stderr.',
    )
    .option('--config <file>', 'configuration; else CERTSWEEP_CONFIG')
    .addHelpText(
      'after',
      '\nExamples:\n  certsweep token --name ci --role producer\n  certsweep serve\n  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:9480/v1/batches',
    )
    .action(async (options: CommonOptions) => {
      const config = await configOf(options);
      const leave = onLeaveSignal();
      const log = createLogger(config.log.level);
      void leaveInTime(leave.wait);
      // As a worker's: it outlives its Redis, and starts an embedded one again.
      const open = await openConnection(config, 'worker', {
        notice: (event) => log.info({ event: `redis-${event.kind}`, message: describeNotice(event) }),
        onError: (error) => log.warn({ event: 'redis-connection', message: describeRedisError(error) }),
      });
      try {
        const server = await startServing(config, open, log);
        const lost = await Promise.race([leave.wait.then(() => undefined), open.gone]);
        await server.close();
        log.info({ event: 'serve-stopped' });
        if (lost !== undefined) throw new CommandEnd(EXIT.refused, lost.message);
      } finally {
        await open.close();
        leave.forget();
      }
      // What still waits for a Redis that is away would keep the process.
      process.exit();
    });
}

async function leaveInTime(told: Promise<LeaveSignal>): Promise<void> {
  process.exitCode = (await told) === 'SIGINT' ? EXIT.interrupted : EXIT.ok;
  setTimeout(() => process.exit(), LEAVE_WITHIN_MS).unref();
}

/**
 * Serves HTTP on a Redis that is open already.
 * @throws CommandEnd where it cannot listen
 */
export async function startServing(config: Config, open: OpenConnection, log: EventLog): Promise<HttpServer> {
  // Loaded here: BullMQ takes half a second, which no other command should pay.
  const { openHttpServer } = await import('../http/server.ts');
  const onTrouble = (error: Error): void => log.warn({ event: 'audit-file', message: describeRedisError(error) });
  const store = storeOn(config, open, open.another('producer'), { onTrouble });
  const jobKey = jobKeyOf(environment);
  const server = await openHttpServer({ store, log, ...(jobKey !== undefined && { jobKey }) }).catch(
    (error: unknown) => {
      throw cannotListen('http.port', config.http.port, error);
    },
  );
  const { tokens, publicUrl } = config.http;
  log.info({ event: 'serve-started', version: VERSION, url: server.url, publicUrl, tokens: tokens.length });
  return server;
}

import { createWriteStream } from 'node:fs';
import { access, constants, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { parse } from 'csv-parse/sync';
import type { Certificate } from '../../core/certificate.ts';
import { DEFAULT_EGRESS_QPS, etaSeconds } from '../../core/pace.ts';
import { Ledger } from '../../ledger/ledger.ts';
import { KEY_PREFIX } from '../../queue/contract.ts';
import { makeToken } from '../../app/identity.ts';
import { batchStatus, type BatchDetail } from '../../app/overview.ts';
import { connect } from '../../runtime/redis/connection.ts';
import { onLeaveSignal } from '../../runtime/shutdown.ts';
import { generateCertificates } from '../../sandbox/generate.ts';
import type { SandboxReport } from '../../sandbox/observations.ts';
import { DemoStage } from './stage.ts';
import { auditDemo, describeDemo, type DemoRow } from './audit.ts';
import { CommandEnd, EXIT } from '../exit.ts';
import { Progress } from '../text/progress.ts';
import { SANDBOX_ACCOUNT } from '../sandbox.ts';
import { printText, say } from '../text/terminal.ts';
import { wholeNumber } from '../whole-number.ts';

interface DemoOptions {
  readonly count: number;
  /** Serve the page, and keep all up at the end. */
  readonly page?: true;
  readonly out: string;
}

const COUNTS = { least: 1, most: 100_000 };
const REPORT = 'certsweep-demo-report.csv';
const LOG_LINES = 20;
const POLL_EVERY_MS = 250;
/** Shorter than elsewhere: the ramp at the beginning would show for a third of the demo. */
const RATE_OVER_MS = 3_000;
/** None of its first hundred meets a fault of the sandbox' plan, so that the ramp is quick; the others meet every kind. */
const SEED = 16;
/** A halt or a block would last longer than the whole demo: better to say so. */
const NOTHING_MOVES_MS = 30_000;
/** In the log of `certsweep serve`. */
const PAGE_URL = /"event":"serve-started".*?"url":"([^"]+)"/;
/** The exit code when the accounting does not add up. */
const WRONG_SUM = 1;

export function addDemo(program: Command): void {
  program
    .command('demo')
    .summary('see it work: a sandbox, a worker and 5,000 certificates, in a minute')
    .description(
      'Starts a private Redis, a sandbox that misbehaves on purpose and a worker, submits a generated manifest, and checks that every certificate is accounted for. It needs no account and touches none, and leaves nothing but the report. Exit code 1 when the accounting does not add up.',
    )
    .option('--count <n>', 'certificates to revoke', (value: string) => wholeNumber('--count', value, COUNTS), 5_000)
    .option('--out <dir>', 'folder for the report', '.')
    .option('--page', 'also serve the page, until Ctrl-C')
    .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
  await refuseUnwritable(options.out);
  const leave = onLeaveSignal();
  const stage = await DemoStage.open();
  try {
    const interrupted = leave.wait.then((): never => {
      throw new CommandEnd(
        EXIT.interrupted,
        'Interrupted: everything that the demo had started is stopped and removed.',
      );
    });
    await Promise.race([perform(stage, options), interrupted]);
    if (options.page === true) {
      say('\nThe page stays open until Ctrl-C.');
      await leave.wait;
    }
  } catch (error) {
    const isFault = !(error instanceof CommandEnd) || error.code === EXIT.refused;
    const words = isFault ? await stage.lastWords('worker', LOG_LINES) : '';
    if (words !== '') say(`\nThe demo failed. The worker's log ends with:\n${words}\n`);
    throw error;
  } finally {
    await stage.close();
    leave.forget();
  }
}

async function perform(stage: DemoStage, options: DemoOptions): Promise<void> {
  const [instanceId] = SANDBOX_ACCOUNT.instances;
  const manifest = join(stage.folder, 'manifest.csv');
  const report = join(options.out, REPORT);

  step(1, 'Redis', undefined, 'a private one in a temporary folder; any command starts it where none runs');
  const open = await stage.openRedis();

  // Not enforced: were the sandbox itself to stall, the calls that pile up would look like a burst and block us for a minute. It counts them anyway.
  const sandbox = ['sandbox', '--port', '0', '--plan', 'demo', '--no-enforce'] as const;
  step(2, 'Sandbox', sandbox, 'a stand-in for the cloud, with some of its failures');
  const url = await stage.startService(sandbox, {}, /^http:\/\/\S+(?=\n)/m);

  step(
    3,
    'Worker',
    ['worker'],
    `makes the calls, at most ${DEFAULT_EGRESS_QPS} in any second: the pace of one source address`,
  );
  const variables = {
    CERTSWEEP_ENDPOINT: url,
    CERTSWEEP_INSTANCES: instanceId,
    ALIBABA_CLOUD_ACCESS_KEY_ID: SANDBOX_ACCOUNT.accessKeyId,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: SANDBOX_ACCOUNT.accessKeySecret,
  };
  await stage.startService(['worker'], variables, /"worker-started"/);
  if (options.page === true) await openPage(stage, variables);

  const submit = ['--execute', '--confirm', String(options.count)] as const;
  step(4, 'Submit', ['submit', 'manifest.csv', ...submit], 'without --execute it would only show the plan');
  const certificates = [...generateCertificates(options.count, { seed: SEED, instanceId, caSn: 'CA-DEMO' })];
  await writeManifest(manifest, certificates);
  const startMs = performance.now();
  const batch = batchOf(await stage.run(['submit', manifest, ...submit, '--json'], variables));

  step(5, 'Progress', ['status', batch, '--watch'], 'first 10, then 100, then all: a bad manifest stops early');
  const redis = connect(open, 'producer', () => undefined);
  let detail: BatchDetail;
  try {
    detail = await follow(stage, new Ledger(redis, KEY_PREFIX), batch, options.page === true);
  } finally {
    redis.disconnect();
  }
  const tookMs = performance.now() - startMs;

  step(6, 'Report', ['report', batch, '--out', report], 'one row for each certificate');
  await stage.run(['report', batch, '--out', report], variables);
  const rows: DemoRow[] = parse(await readFile(report), { columns: true });
  const seen = (await (await fetch(`${url}/-/seen`)).json()) as SandboxReport;

  const sums = auditDemo(certificates, detail, rows, seen);
  printText(`\n${describeDemo({ detail, rows, seen, sums, tookMs, report })}`);
  const wrong = sums.filter(({ holds }) => !holds);
  if (wrong.length > 0) {
    throw new CommandEnd(
      WRONG_SUM,
      `\nTHE ACCOUNTING DOES NOT ADD UP: ${wrong.map(({ says }) => says).join('; ')}. Please report this, with ${report}.`,
    );
  }
}

/** For an operator whom the demo makes up. */
async function openPage(stage: DemoStage, variables: Readonly<Record<string, string>>): Promise<void> {
  const { token, sha256 } = makeToken();
  const config = join(stage.folder, 'certsweep.yaml');
  // JSON is YAML.
  await writeFile(config, JSON.stringify({ http: { port: 0, tokens: [{ name: 'demo', sha256, role: 'operator' }] } }));
  const started = await stage.startService(['serve'], { ...variables, CERTSWEEP_CONFIG: config }, PAGE_URL);
  say(
    `    Page      $ certsweep serve\n              ${PAGE_URL.exec(started)?.[1] ?? ''}\n              log in with ${token}`,
  );
}

/**
 * Shows how the batch goes until every item is settled.
 * @param isPatient - somebody may pause it, or stop all
 */
async function follow(stage: DemoStage, ledger: Ledger, batch: string, isPatient: boolean): Promise<BatchDetail> {
  const progress = new Progress();
  let pending = Number.POSITIVE_INFINITY;
  let movedAtMs = performance.now();
  try {
    for (;;) {
      const detail = await batchStatus(ledger, batch);
      if (detail === undefined) throw new CommandEnd(EXIT.refused, `Batch ${batch} is gone from Redis.`);
      const ratePerSecond = detail.pending === 0 ? 0 : await ledger.batches.ratePerSecond(batch, RATE_OVER_MS);
      const eta = etaSeconds(detail.pending, ratePerSecond) ?? null;
      progress.show({ ...detail, ratePerSecond, etaSeconds: eta }, DEFAULT_EGRESS_QPS);
      if (detail.pending === 0) return detail;
      if (detail.state === 'paused' && !isPatient) {
        throw new CommandEnd(EXIT.refused, `Batch ${batch} paused itself: ${detail.pausedBecause ?? 'too many dead'}.`);
      }
      if (detail.pending !== pending) movedAtMs = performance.now();
      pending = detail.pending;
      if (performance.now() - movedAtMs > NOTHING_MOVES_MS && !isPatient) {
        throw new CommandEnd(EXIT.refused, `Nothing has moved for ${NOTHING_MOVES_MS / 1_000} s: ${pending} pending.`);
      }
      await stage.pause(POLL_EVERY_MS);
    }
  } finally {
    progress.end();
  }
}

/** `3/6 Worker    $ certsweep worker`, and below it what that does. */
function step(number: number, name: string, args: readonly string[] | undefined, meaning: string): void {
  const head = `${number}/6 ${name.padEnd(9)}`;
  const indent = ' '.repeat(head.length);
  say(args === undefined ? `${head} ${meaning}` : `${head} $ certsweep ${args.join(' ')}\n${indent} ${meaning}`);
}

async function writeManifest(path: string, certificates: readonly Certificate[]): Promise<void> {
  const lines = certificates.map(({ instanceId, caSn, deviceSn }) => `${instanceId},${caSn},${deviceSn}\n`);
  await pipeline(Readable.from(['instanceId,caSn,deviceSn\n', ...lines]), createWriteStream(path));
}

function batchOf(json: string): string {
  const { batch } = JSON.parse(json) as { readonly batch: string };
  return batch;
}

async function refuseUnwritable(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandEnd(
      EXIT.usage,
      `The report cannot be written into ${folder} (${why}): give another folder with --out.`,
    );
  }
}

import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { auditDemo, type DemoRow } from '../../../src/cli/demo/audit.ts';
import type { Certificate } from '../../../src/core/certificate.ts';
import type { BatchDetail } from '../../../src/app/overview.ts';
import { identify } from '../../../src/runtime/redis/embedded/process-identity.ts';
import { generateCertificates } from '../../../src/sandbox/generate.ts';
import type { SandboxReport } from '../../../src/sandbox/observations.ts';
import { hasTerminal, startCommand, type CommandOptions, type RunningCommand } from '../../support/command.ts';

let folder: string;
let started: RunningCommand[];

beforeEach(async () => {
  // The demo's own temporary folder is made below this one, so that what it leaves is seen.
  folder = await mkdtemp(join(tmpdir(), 'certsweep-demo-test-'));
  started = [];
});

afterEach(async () => {
  for (const command of started) command.kill('SIGTERM');
  await Promise.all(started.map(({ ended }) => ended));
  await rm(folder, { recursive: true, force: true });
});

function demo(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const command = startCommand(['demo', ...args, '--out', join(folder, 'out')], {
    ...options,
    env: { TMPDIR: folder, ...options.env },
  });
  started.push(command);
  return command;
}

/** The process ids of the demo's worker and Redis, from what they wrote. */
async function processes(): Promise<{ readonly worker: number; readonly redis: number; readonly folder: string }> {
  const [own = ''] = (await readdir(folder)).filter((name) => name.startsWith('certsweep-demo-'));
  const log = await vi.waitFor(async () => {
    const text = await readFile(join(folder, own, 'worker.log'), 'utf8');
    if (!text.includes('"worker-started"')) throw new Error(`not yet: ${text}`);
    return text;
  }, 60_000);
  const record = await readFile(join(folder, own, 'redis', 'server.json'), 'utf8');
  return {
    worker: Number(/"pid":(\d+)/.exec(log)?.[1]),
    redis: Number(/"pid":\s*(\d+)/.exec(record)?.[1]),
    folder: join(folder, own),
  };
}

it('accounts for every certificate, and leaves nothing but the report', { timeout: 120_000 }, async () => {
  const { code, stdout, stderr } = await demo(['--count', '300'], {
    // Neither a real account nor a real Redis is ever reached, whatever the environment says.
    env: {
      CERTSWEEP_REDIS_URL: 'redis://127.0.0.1:1',
      CERTSWEEP_CONFIG: '/nowhere.yaml',
      ALIBABA_CLOUD_ACCESS_KEY_ID: 'a-real-key',
      ALIBABA_CLOUD_SECURITY_TOKEN: 'a-real-token',
    },
  }).ended;
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  for (const step of ['1/6', '2/6', '3/6', '4/6', '5/6', '6/6']) expect(stderr).toContain(step);
  expect(stderr).toContain('$ certsweep submit manifest.csv --execute --confirm 300');

  const rows = (await readFile(join(folder, 'out', 'certsweep-demo-report.csv'), 'utf8'))
    .trimEnd()
    .split('\n')
    .slice(1);
  expect(rows).toHaveLength(300);
  expect(new Set(rows.map((row) => row.split(',')[0])).size).toBe(300);
  const revoked = rows.filter((row) => row.split(',')[4] === 'revoked').length;
  expect(stdout).toContain(`the sandbox deleted ${revoked}, we count ${revoked} revoked`);
  expect(stdout.match(/^ {2}ok /gm)).toHaveLength(5);
  expect(stdout).not.toContain('WRONG');
  // Of 300 certificates some meet a fault for ever, and the demo says that this is no failure.
  expect(stdout).toContain('Dead items are expected here');
  expect(await readdir(folder)).toEqual(['out']);
});

describe('the accounting', () => {
  const certificates = [...generateCertificates(3, { seed: 1, instanceId: 'post-cn-sandbox', caSn: 'CA' })];
  const outcomes = ['revoked', 'revoked', 'dead'];
  const rows = certificates.map((certificate, n) => rowOf(certificate, n, outcomes[n] ?? ''));
  const detail = {
    action: 'delete',
    accepted: 3,
    revoked: 2,
    alreadyGone: 0,
    dead: 1,
    cancelled: 0,
    pending: 0,
  } as BatchDetail;
  const seen = { deletions: 2, certificates: { called: 3 } } as SandboxReport;
  const [first, second, third] = rows;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three rows are needed');

  const wrongIn = (changes: {
    readonly detail?: Partial<BatchDetail>;
    readonly rows?: readonly DemoRow[];
    readonly seen?: Partial<SandboxReport>;
  }): number[] => {
    const sums = auditDemo(certificates, { ...detail, ...changes.detail }, changes.rows ?? rows, {
      ...seen,
      ...changes.seen,
    });
    return sums.flatMap(({ holds }, index) => (holds ? [] : [index]));
  };

  it('holds when all witnesses agree', () => expect(wrongIn({})).toEqual([]));

  it.each([
    ['an item is lost from the counts', { detail: { dead: 0 } }, [0, 2]],
    ['an item is still pending although all are counted', { detail: { pending: 1 } }, [0]],
    ['fewer are accepted than were submitted', { detail: { accepted: 2, dead: 0 }, rows: [first, second] }, [0, 4]],
    ['a row is missing', { rows: [first, second] }, [1, 2]],
    ['a row is there twice, in the place of another', { rows: [first, first, third] }, [1]],
    ['a row names another certificate', { rows: [first, { ...second, deviceSn: 'X' }, third] }, [1]],
    ['a revoked one is reported as dead', { rows: [first, { ...second, outcome: 'dead' }, third] }, [2]],
    ['one counts as revoked that was not deleted', { seen: { deletions: 1 } }, [3]],
    ['one was deleted that does not count', { seen: { deletions: 3 } }, [3]],
    ['a certificate was never called for', { seen: { certificates: { called: 2, calledAgain: 0, byCalls: {} } } }, [4]],
  ])('does not hold when %s', (_, changes, wrong) => expect(wrongIn(changes)).toEqual(wrong));
});

it('ends its processes and removes its folder when it is interrupted', { timeout: 120_000 }, async () => {
  const command = demo(['--count', '5000']);
  await command.says('5/6');
  const left = await processes();
  expect(await isThere(left.worker)).toBe(true);
  expect(await isThere(left.redis)).toBe(true);
  command.kill('SIGINT');
  expect(await command.ended).toMatchObject({ code: 130, stderr: expect.stringContaining('Interrupted') as string });
  await expectNothingLeft(left);
});

it('says how the worker ended, with its last words, and tidies up', { timeout: 120_000 }, async () => {
  const command = demo(['--count', '5000']);
  await command.says('5/6');
  const left = await processes();
  process.kill(left.worker, 'SIGKILL');
  const { code, stderr } = await command.ended;
  expect(code).toBe(3);
  expect(stderr).toContain('certsweep worker ended by itself (SIGKILL)');
  expect(stderr).toContain('"worker-started"');
  await expectNothingLeft(left);
});

it('leaves nothing behind even when a second signal makes it leave at once', { timeout: 120_000 }, async () => {
  const command = demo(['--count', '5000']);
  await command.says('5/6');
  const left = await processes();
  command.kill('SIGINT');
  command.kill('SIGTERM');
  await command.ended;
  await expectNothingLeft(left);
});

it.skipIf(!hasTerminal)('draws its progress on a terminal', { timeout: 120_000 }, async () => {
  const { code, stdout } = await demo(['--count', '50'], { terminal: true }).ended;
  expect(code).toBe(0);
  expect(stdout).toMatch(/\[#+\] 50 of 50 /);
});

it('refuses a count and a folder that it cannot use before it starts anything', async () => {
  const [count, place] = await Promise.all([
    demo(['--count', '0']).ended,
    startCommand(['demo', '--out', join(process.execPath, 'out')], { env: { TMPDIR: folder } }).ended,
  ]);
  expect(count).toMatchObject({ code: 2, stderr: expect.stringContaining('--count 0 is not') as string });
  expect(place).toMatchObject({ code: 2, stderr: expect.stringContaining('--out') as string });
  expect(await readdir(folder)).toEqual([]);
});

async function expectNothingLeft(left: Awaited<ReturnType<typeof processes>>): Promise<void> {
  await expect.poll(() => isThere(left.worker)).toBe(false);
  await expect.poll(() => isThere(left.redis)).toBe(false);
  expect(existsSync(left.folder)).toBe(false);
}

/** Not a zombie that nobody has reaped. */
async function isThere(pid: number): Promise<boolean> {
  return (await identify(pid)) !== undefined;
}

function rowOf(certificate: Certificate, n: number, outcome: string): DemoRow {
  return { ...certificate, ordinal: String(n), outcome, code: '', requestId: '', attempts: '1', settledAt: '' };
}

import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import type { CommandOptions, Ended } from '../support/command.ts';
import { certificates, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';

const DIE = fileURLToPath(new URL('../support/die.mjs', import.meta.url));
/** How a command ends itself, at a moment that test/support/die.mjs knows. */
const dying = (at: string): CommandOptions => ({ node: ['--import', DIE], env: { DIE_AT: at } });

/** What the step that makes a batch run sends to Redis: its entry of the audit record. */
const ACTIVATE = String.raw`\"event\":\"submit\"`;

let fleet: Fleet;
let onListing: (listings: number) => void = () => undefined;
afterEach(() => fleet.remove());

/** Registers these and keeps Redis up. The calls are so slow that a walk saves how far it has come. */
async function open(all: ReturnType<typeof certificates>, qps: number): Promise<void> {
  let listings = 0;
  fleet = await openFleet({
    sandbox: {
      registry: all,
      journal({ operation }) {
        if (operation !== 'ListDeviceCertificate') return;
        listings += 1;
        onListing(listings);
      },
    },
    settings: { limiter: { lateMs: 200 }, egress: { qps, raisedLimit: true } },
  });
  await fleet.holdRedis();
}

/** Runs the command, and kills it when so many more pages have been asked for. */
async function killedAtPage(args: readonly string[], pages: number): Promise<Ended> {
  const command = fleet.start(args);
  let first: number | undefined;
  onListing = (listings) => {
    first ??= listings;
    if (listings - first + 1 === pages) command.kill('SIGKILL');
  };
  const ended = await command.ended;
  onListing = () => undefined;
  return ended;
}

const isKilled = { code: null, signal: 'SIGKILL' };
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

it('a walk that is killed in each of its phases, one after the other, has each certificate once in the end', async () => {
  const all = certificates(5_400);
  // Each run that is to save walks for more than a second.
  await open(all, 20);
  const out = join(fleet.folder, 'inventory.csv');
  const args = ['inventory', INSTANCE, '--out', out, '--resume', '--json'];
  // The start: the first page is asked for.
  expect(await killedAtPage(args, 1)).toMatchObject(isKilled);
  // The first save, half written: the one before is none.
  expect(await fleet.run(args, dying('write-to .progress.next'))).toMatchObject(isKilled);
  expect(await isThere(`${out}.progress`)).toBe(false);
  expect(await fleet.run(args, dying('renamed-to .progress'))).toMatchObject(isKilled);
  // From here on, each goes on where the one before was. Between two pages:
  expect(await killedAtPage(args, 6)).toMatchObject(isKilled);
  const saved = await readFile(`${out}.progress`, 'utf8');
  // A later save, half written: the one before holds.
  expect(await fleet.run(args, dying('write-to .progress.next'))).toMatchObject(isKilled);
  expect(await readFile(`${out}.progress`, 'utf8')).toBe(saved);
  // The output, half a row written.
  expect(await fleet.run(args, dying('write-to .csv.part 4'))).toMatchObject(isKilled);
  // The end: everything is written, under another name.
  expect(await fleet.run(args, dying('rename-to inventory.csv'))).toMatchObject(isKilled);
  expect(await isThere(out)).toBe(false);

  // It has its name, but what was saved of it is still there.
  expect(await fleet.run(args, dying('renamed-to inventory.csv'))).toMatchObject(isKilled);
  const expected = all.map(({ deviceSn }) => deviceSn).toSorted();
  const expectWhole = async (): Promise<void> => {
    const [head, ...rows] = (await readFile(out, 'utf8')).trimEnd().split('\n');
    expect(head).toBe('instanceId,caSn,deviceSn,deviceName,status,validBegin,validEnd');
    expect(rows.map((row) => row.split(',')[2] ?? '').toSorted()).toEqual(expected);
  };
  await expectWhole();
  const { code, stdout } = await fleet.run(args);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ certificates: all.length, state: 'stable' });
  await expectWhole();
  expect((await readdir(fleet.folder)).filter((name) => /part|progress/.test(name))).toEqual([]);
}, 300_000);

it('a plan that is killed in any phase leaves no file or a whole one, and runs once', async () => {
  const all = certificates(2_500);
  await open(all, 200);
  const manifest = await fleet.file('m.csv', manifestOf(all));
  const file = join(fleet.folder, 'it.plan');
  const args = ['plan', manifest, '--out', file, '--json'];
  expect(await killedAtPage(args, 10)).toMatchObject(isKilled);
  expect(await fleet.run(args, dying('write-to it.plan.part 2'))).toMatchObject(isKilled);
  expect(await fleet.run(args, dying('rename-to it.plan'))).toMatchObject(isKilled);
  expect(await isThere(file)).toBe(false);
  expect(await fleet.run(args, dying('renamed-to it.plan'))).toMatchObject(isKilled);

  // It appeared, so it is whole.
  const submit = ['submit', '--plan', file, '--json'];
  const rehearsed = await fleet.run(submit);
  expect(JSON.parse(rehearsed.stdout)).toMatchObject({ accepted: all.length, rejected: 0 });
  const execute = [...submit, '--execute', '--yes'];
  const batches = async (): Promise<object[]> => {
    const { batches: of } = JSON.parse((await fleet.run(['status', '--json'])).stdout) as {
      batches: { batch: string; state: string }[];
    };
    return of.filter(({ state }) => state !== 'planned');
  };
  // Right before the step that makes the batch run: nothing runs, and the plan stays good.
  expect(await fleet.run(execute, dying(`send ${ACTIVATE}`))).toMatchObject(isKilled);
  expect(await batches()).toEqual([]);
  // Right after: it runs, and the plan is used.
  expect(await fleet.run(execute, dying(`sent ${ACTIVATE}`))).toMatchObject(isKilled);
  expect(await batches()).toMatchObject([{ state: 'running', accepted: all.length }]);
  const again = await fleet.run(execute);
  expect(again).toMatchObject({ code: 3, stdout: '' });
  expect(again.stderr).toContain('a plan can be used once');
  expect(await batches()).toHaveLength(1);
}, 300_000);

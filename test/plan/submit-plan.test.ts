import { appendFile, copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { PLAN_GOOD_MS } from '../../src/ledger/plan-use.ts';
import type { PlanHeader } from '../../src/plan/plan-file.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import { INSTANCE, KEY_ENV } from '../support/installation.ts';
import { NAMED, openPlanning, type Planning } from './planning.ts';

let place: Planning;

describe('submit --plan', () => {
  beforeEach(async () => {
    place = await openPlanning();
    await place.holdRedis();
  });
  afterEach(() => place.remove());

  it('revokes what the plan has, once', async () => {
    const { manifestSha256 } = await place.planned();
    const rehearsed = await place.submitPlan(place.planFile);
    expect(rehearsed).toMatchObject({
      code: 0,
      stdout: '{"batch":null,"action":"delete","accepted":3,"duplicates":0,"rejected":0}\n',
    });
    const wrong = await place.submitPlan(place.planFile, '--execute', '--confirm', '2');
    expect(wrong.code).toBe(3);
    await place.expectUntouched();

    await place.startWorker();
    const ended = await place.submitPlan(place.planFile, '--execute', '--confirm', '3', '--wait');
    expect(ended.code).toBe(0);
    const { batch } = JSON.parse(ended.stdout) as { batch: string };
    expect((await place.settled(batch)).revoked).toBe(3);
    expect(place.sandbox.seen().byOperation).toMatchObject({ DeleteDeviceCertificate: 3 });
    const redis = await place.redis();
    expect(await redis.hget(ledgerKeys(KEY_PREFIX).of(batch).record, 'manifestSha256')).toBe(manifestSha256);

    for (const flags of [[], ['--execute', '--yes']]) {
      const again = await place.submitPlan(place.planFile, ...flags);
      expect(again).toMatchObject({ code: 3, stdout: '' });
      expect(again.stderr).toContain(`was used for batch ${batch}: a plan can be used once`);
    }
    expect(place.sandbox.seen().byOperation).toMatchObject({ DeleteDeviceCertificate: 3 });
  });

  it('runs one batch where two submit it at once', async () => {
    await place.planned();
    const both = await Promise.all([0, 1].map(() => place.submitPlan(place.planFile, '--execute', '--yes')));
    expect(new Set(both.map(({ code }) => code))).toEqual(new Set([0, 3]));
    const { stdout } = await place.run(['status', '--json']);
    expect((JSON.parse(stdout) as { batches: unknown[] }).batches).toHaveLength(1);
  });

  it('takes a copy of the file for the same plan, and its certificates in another plan for the same batch', async () => {
    await place.planned();
    const copy = join(place.folder, 'copy.plan');
    await copyFile(place.planFile, copy);
    const first = await place.submitPlan(place.planFile, '--execute', '--yes');
    expect(first.code).toBe(0);
    expect((await place.submitPlan(copy, '--execute', '--yes')).code).toBe(3);
    await appendFile(copy, '\n');
    expect((await place.submitPlan(copy, '--execute', '--yes')).code).toBe(3);
    await place.planned();
    const second = await place.submitPlan(place.planFile, '--execute', '--yes');
    expect(second.code).toBe(0);
    expect(second.stderr).toContain('already submitted');
  });
});

describe('submit --plan refuses', () => {
  let header: PlanHeader;
  beforeAll(async () => {
    place = await openPlanning();
    await place.holdRedis();
    header = await place.planned();
  });
  afterEach(() => place.expectUntouched());
  afterAll(() => place.remove());

  it('an edited file, whatever was edited', async () => {
    const whole = await readFile(place.planFile, 'utf8');
    const [head = '', first = ''] = whole.split('\n');
    const edits: Record<string, string> = {
      'another certificate': whole.replace('"a1"', '"a3"'),
      'one less': whole.replace(`${first}\n`, ''),
      'one twice': `${whole}${first}\n`,
      'a bad line': `${whole}{\n`,
      'nothing but the header': `${head}\n`,
      'the number': whole.replace('"certificates":3', '"certificates":4'),
      'the time': whole.replace(/"atMs":\d+/, `"atMs":${Date.now() + 3_600_000}`),
      'the id': whole.replace(/"id":"[0-9a-f]{32}"/, `"id":"${'0'.repeat(32)}"`),
    };
    for (const [what, text] of Object.entries(edits)) {
      expect([what, text]).not.toEqual([what, whole]);
      const ended = await place.submitPlan(await place.file('edited.plan', text), '--execute', '--yes');
      expect({ what, ...ended }).toMatchObject({ what, code: 3, stdout: '' });
      expect(ended.stderr).toContain('edited.plan was edited');
    }
    // A header whose id was made again, for other certificates than follow.
    const forged = await place.submitPlan(await place.forged({ certificates: 2 }), '--execute', '--yes');
    expect(forged).toMatchObject({ code: 3, stdout: '' });
  });

  it('what is no plan, and what a plan leaves no room for', async () => {
    const manifest = await place.file('m.csv', NAMED);
    for (const { flags, code, words } of [
      { flags: ['--plan', manifest], code: 3, words: 'is not a plan of this version' },
      { flags: ['--plan', join(place.folder, 'missing.plan')], code: 3, words: 'cannot be read (ENOENT)' },
      { flags: ['--plan', place.planFile, manifest], code: 2, words: '--plan reads nothing but the plan' },
      { flags: ['--plan', place.planFile, '--skip-invalid'], code: 2, words: '--plan reads nothing but the plan' },
      { flags: [], code: 2, words: 'Give a manifest, or --plan <file>.' },
    ]) {
      const ended = await place.run(['submit', ...flags, '--execute', '--yes']);
      expect(ended.code).toBe(code);
      expect(ended.stderr).toContain(words);
    }
  });

  it('a plan after 24 hours, and one from the future', async () => {
    const { inventory } = header;
    for (const { offMs, words } of [
      { offMs: -PLAN_GOOD_MS - 1, words: 'old: a plan is valid for 24 hours' },
      { offMs: PLAN_GOOD_MS + 600_000, words: 'is from the future' },
    ]) {
      const path = await place.forged({ inventory: { ...inventory, atMs: inventory.atMs + offMs } });
      const ended = await place.submitPlan(path, '--execute', '--yes');
      expect(ended).toMatchObject({ code: 3, stdout: '' });
      expect(ended.stderr).toContain(words);
    }
  });

  it('a plan for another account, endpoint or instance', async () => {
    const [endpoint] = header.accounts.map((one) => one.endpoint);
    const account = { endpoint, credentials: KEY_ENV };
    for (const { config, words } of [
      { config: { other: { ...account, instances: [INSTANCE] } }, words: 'was planned for account fleet' },
      {
        config: { fleet: { ...account, endpoint: 'http://127.0.0.1:9', instances: [INSTANCE] } },
        words: 'or with another endpoint',
      },
      {
        config: { fleet: { ...account, instances: ['post-cn-else'] } },
        words: `was planned for instance ${INSTANCE} of account fleet`,
      },
    ]) {
      const path = await place.configure({ accounts: config }, 'other.yaml');
      const ended = await place.submitPlan(place.planFile, '--execute', '--yes', '--config', path);
      expect(ended).toMatchObject({ code: 3, stdout: '' });
      expect(ended.stderr).toContain(words);
    }
  });
});

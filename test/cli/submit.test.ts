import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { KEY_PREFIX } from '../../src/queue/contract.ts';
import type { Ended } from '../support/command.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { openInstallation, type Installation } from '../support/installation.ts';

let place: Installation;
let manifest: string;
beforeEach(async () => {
  place = await openInstallation();
  await place.holdRedis();
  manifest = await place.file('manifest.csv', manifestOf(certificates(3)));
});
afterEach(() => place.remove());

const submit = (...flags: string[]): Promise<Ended> => place.run(['submit', manifest, '--execute', ...flags]);
const BATCH = /^\d{8}-\d{6}-[0-9a-v]{26}$/;

interface Answer {
  readonly batch: string;
}
const answerOf = ({ stdout }: Ended): Answer => JSON.parse(stdout) as Answer;

/** The batches of `certsweep status`. */
async function batches(): Promise<unknown[]> {
  const { stdout } = await place.run(['status', '--json']);
  return (JSON.parse(stdout) as { batches: unknown[] }).batches;
}

describe('submit --execute', () => {
  it('takes --confirm with the right number, and a second time the same manifest as a duplicate of its batch', async () => {
    const first = await submit('--confirm', '3', '--json', '--requested-by', 'ops', '--reason', 'key leak');
    expect(first.code).toBe(0);
    const { batch } = answerOf(first);
    expect(batch).toMatch(BATCH);
    expect(first.stdout).toBe(`{"batch":"${batch}","action":"delete","accepted":3,"duplicates":0,"rejected":0}\n`);
    expect(first.stderr).toContain(`Batch ${batch}: 3 certificates accepted.`);

    const second = await submit('--yes', '--json');
    expect(second).toMatchObject({
      code: 0,
      stdout: `{"batch":"${batch}","action":"delete","accepted":0,"duplicates":3,"rejected":0}\n`,
    });
    expect(second.stderr).toContain(`already submitted, as batch ${batch}: nothing was added`);
    const running = {
      batch,
      state: 'running',
      accepted: 3,
      revoked: 0,
      alreadyGone: 0,
      dead: 0,
      cancelled: 0,
      pending: 3,
      forgotten: 0,
    };
    expect(await batches()).toEqual([{ ...running, ratePerSecond: 0, etaSeconds: null, action: 'delete' }]);
    const shown = await place.run(['status', batch]);
    expect(shown.stdout).toContain('requested by    ops\nreason          key leak\n');
  });

  it('makes one batch of one manifest, whichever of two submitters is first', async () => {
    const both = await Promise.all([submit('--yes', '--json'), submit('--yes', '--json')]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    const [first, second] = both.map(answerOf);
    expect(second?.batch).toBe(first?.batch);
    const accepted = { batch: first?.batch, action: 'delete', accepted: 3, duplicates: 0, rejected: 0 };
    expect([first, second]).toEqual(expect.arrayContaining([accepted, { ...accepted, accepted: 0, duplicates: 3 }]));
    expect(await batches()).toHaveLength(1);
  });

  it('does nothing without a right confirmation', async () => {
    for (const { flags, code, words } of [
      { flags: ['--confirm', '4'], code: 3, words: '--confirm 4 is not the number of certificates, which is 3.' },
      { flags: [], code: 3, words: 'There is no terminal to ask on: add --confirm 3 (or --yes).' },
      { flags: ['--confirm', 'three'], code: 2, words: '--confirm three is not a whole number.' },
      { flags: ['--yes', '--confirm', '3'], code: 2, words: "option '--yes' cannot be used with option '--confirm" },
      { flags: ['--yes', '--priority', 'now'], code: 2, words: 'Allowed choices are urgent, bulk' },
    ]) {
      const ended = await submit(...flags);
      expect(ended).toMatchObject({ code, stdout: '' });
      expect(ended.stderr).toContain(words);
    }
    expect(await batches()).toEqual([]);
  });

  it('stores nothing of a manifest with a bad row, and the good rows with --skip-invalid', async () => {
    manifest = await place.file('bad.csv', `${manifestOf(certificates(2))}post-cn-unknown,CA01,1\n`);
    const refused = await submit('--yes', '--json');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('line 4: no account of the configuration has the instance "post-cn-unknown"');
    expect(await batches()).toEqual([]);

    const skipped = await submit('--confirm', '2', '--skip-invalid', '--json');
    expect(skipped.code).toBe(0);
    expect(answerOf(skipped)).toEqual({
      batch: expect.stringMatching(BATCH),
      action: 'delete',
      accepted: 2,
      duplicates: 0,
      rejected: 1,
    });
    expect(await batches()).toMatchObject([{ accepted: 2, pending: 2 }]);
    // Nothing is left of the manifest that was refused.
    const starter = place.start(['status', '--watch']);
    await starter.says('running');
    const records = await (await place.redis()).keys(ledgerKeys(KEY_PREFIX).of('*').record);
    expect(new Set(records.map((key) => key.split(':')[2]))).toEqual(new Set([answerOf(skipped).batch]));
    starter.kill('SIGINT');
    expect(await starter.ended).toMatchObject({ code: 130, stderr: '' });
  });

  it('stores nothing of a manifest that is cut off, whatever else is answered', async () => {
    const whole = manifestOf(certificates(3));
    manifest = await place.file('cut.csv', whole.slice(0, -2));
    for (const flags of [['--yes'], ['--confirm', '3'], ['--yes', '--skip-invalid']]) {
      const refused = await submit(...flags, '--json');
      expect(refused).toMatchObject({ code: 2, stdout: '' });
      expect(refused.stderr).toContain(`${manifest}: The last row, on line 4, has no line end`);
    }
    expect(await batches()).toEqual([]);
  });

  it('ends with 130 when it is interrupted while it waits; the batch continues', async () => {
    const waiting = place.start(['submit', manifest, '--execute', '--yes', '--wait', '--json']);
    await waiting.says('0 of 3');
    waiting.kill('SIGINT');
    const ended = await waiting.ended;
    expect(ended.code).toBe(130);
    const { batch } = answerOf(ended);
    expect(ended.stderr).toContain(`Interrupted; batch ${batch} keeps running.`);
    expect(await batches()).toMatchObject([{ batch, state: 'running', pending: 3 }]);
  });
});

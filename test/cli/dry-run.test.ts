import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INSTANCE, openInstallation, settingsOf, type Installation } from '../support/installation.ts';

let place: Installation;
beforeAll(async () => {
  // No Redis can be there: a dry run that asks one fails.
  place = await openInstallation(settingsOf(undefined, { redis: { url: 'redis://127.0.0.1:1' } }));
});
afterAll(() => place.remove());

const dryRun = async (name: string, text: string, ...flags: string[]) =>
  place.run(['submit', await place.file(name, text), ...flags]);
const row = (deviceSn: string, instanceId = INSTANCE) => `${instanceId},CA01,${deviceSn}`;
const HEADER = 'instanceId,caSn,deviceSn';

describe('submit without --execute', () => {
  it('prints the plan and touches nothing', async () => {
    const text = [HEADER, row('1'), row('2'), row('1'), ''].join('\n');
    const ended = await dryRun('plan.csv', text);
    expect(ended).toMatchObject({ code: 0, stdout: '' });
    expect(ended.stderr).toBe(
      [
        '2 certificates accepted, 1 duplicate (each done once), 0 rejected.',
        '',
        'account  instance       certificates',
        `fleet    ${INSTANCE}             2`,
        '',
        'At least 2 calls: about 1 s at 280 a second, the pace of egress default.',
        'Dry run: nothing was touched. To revoke them: the same command with --execute.',
        '',
      ].join('\n'),
    );
    expect(existsSync(place.dataDir)).toBe(false);
    expect((await readdir(place.folder)).toSorted()).toEqual(['certsweep.yaml', 'plan.csv']);
  });

  it('prints one object with --json', async () => {
    const ended = await dryRun('json.csv', [HEADER, row('1'), row('2'), row('1'), ''].join('\n'), '--json');
    expect(ended).toEqual({
      code: 0,
      signal: null,
      stdout: '{"batch":null,"action":"delete","accepted":2,"duplicates":1,"rejected":0}\n',
      stderr: '',
    });
    const other = await place.run(['submit', join(place.folder, 'json.csv'), '--action', 'inactivate', '--json']);
    expect(JSON.parse(other.stdout)).toMatchObject({ batch: null, action: 'inactivate', accepted: 2 });
  });

  it('refuses a manifest with bad rows, each with its line and reason', async () => {
    const text = [HEADER, row('1'), row(''), row('x'.repeat(129)), row('4', 'post-cn-unknown'), 'a,b', ''].join('\n');
    const ended = await dryRun('bad.csv', text);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('1 certificate accepted, 0 duplicates (each done once), 4 rejected.');
    expect(ended.stderr).toContain('line 3: deviceSn is missing\n');
    expect(ended.stderr).toContain('line 4: deviceSn is 129 bytes, at most 128');
    expect(ended.stderr).toContain(
      'line 5: no account of the configuration has the instance "post-cn-unknown": add it',
    );
    expect(ended.stderr).toContain('line 6: ');
    expect(ended.stderr).toContain('refused for 4 bad rows: fix them, or leave them out with --skip-invalid. Nothing');

    const skipped = await place.run(['submit', join(place.folder, 'bad.csv'), '--skip-invalid', '--json']);
    expect(skipped).toMatchObject({
      code: 0,
      stdout: '{"batch":null,"action":"delete","accepted":1,"duplicates":0,"rejected":4}\n',
    });
    expect(skipped.stderr).toContain('line 3: deviceSn is missing\n');
  });

  it.each([
    ['empty.csv', '', 'The manifest is empty.'],
    ['manifest.txt', `${HEADER}\n${row('1')}\n`, 'neither .csv nor .ndjson'],
  ])('refuses %s', async (name, text, reason) => {
    const ended = await dryRun(name, text);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(reason);
  });

  it('refuses a manifest of which nothing is left', async () => {
    const ended = await dryRun('none-left.csv', `${HEADER}\n${row('')}\n`, '--skip-invalid');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('The manifest has no certificate to revoke. Nothing was touched.');
  });

  it.each([
    ['a file', []],
    ['a file of which bad rows are left out', ['--skip-invalid']],
  ])(
    'refuses %s whose last row has no line end, so that a cut serial number is no other certificate',
    async (_, flags) => {
      const cut = [HEADER, row('1'), row('100003'), ''].join('\n').slice(0, -3);
      const ended = await dryRun('cut.csv', cut, ...flags);
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      const where = `${join(place.folder, 'cut.csv')}: The last row, on line 3, has no line end: "${INSTANCE},CA01,1000".`;
      expect(ended.stderr).toContain(where);
      expect(ended.stderr).toContain('add a line feed, or --allow-unterminated.');
    },
  );

  it('takes a last row without a line end where that is allowed, and refuses it from standard input too', async () => {
    const stdin = `${HEADER}\n${row('1')}`;
    expect(await place.run(['submit', '-', '--json', '--allow-unterminated'], { stdin })).toMatchObject({
      code: 0,
      stdout: '{"batch":null,"action":"delete","accepted":1,"duplicates":0,"rejected":0}\n',
    });
    const refused = await place.run(['submit', '-', '--json'], { stdin });
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/^standard input: The last row, on line 2, has no line end/);
  });

  it('refuses a file that is not there', async () => {
    const gone = await place.run(['submit', join(place.folder, 'gone.csv')]);
    expect(gone).toMatchObject({ code: 2, stdout: '' });
    expect(gone.stderr).toContain('gone.csv cannot be read (ENOENT): check the path.');
  });

  it('refuses a manifest with more certificates than memory is meant for, when no temporary file can be written', async () => {
    const text = `deviceSn\n${Array.from({ length: 800_000 }, (_, n) => n.toString(36)).join('\n')}\n`;
    const path = await place.file('long.csv', text);
    const folder = join(place.folder, 'gone');
    const ended = await place.run(['submit', path, '--instance', INSTANCE, '--ca', 'CA01'], {
      env: { TMPDIR: folder },
    });
    expect(ended).toMatchObject({ code: 3, stdout: '' });
    expect(ended.stderr).toContain(`The folder for temporary files, ${folder}, does not exist (ENOENT).`);
    expect(ended.stderr).toContain('name another one with TMPDIR, and submit again. Nothing was submitted.');
  });

  it.each([['--yes'], ['--confirm', '1'], ['--wait']])('refuses %s, which has no meaning', async (...flags) => {
    const ended = await dryRun('meaningless.csv', `${HEADER}\n${row('1')}\n`, ...flags);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('Without --execute this is a dry run');
  });
});

describe('a manifest', () => {
  const accepted = (count: number) => ({
    code: 0,
    stdout: `{"batch":null,"action":"delete","accepted":${count},"duplicates":0,"rejected":0}\n`,
    stderr: '',
  });

  it.each([
    [
      'the names of the API, any case, BOM, CRLF, foreign columns',
      'bom.csv',
      `\uFEFFDEVICESN,note,casn,MqttInstanceID\r\n1,x,CA,${INSTANCE}\r\n`,
      [],
    ],
    [
      'only serial numbers, with --instance and --ca',
      'given.csv',
      'deviceSn\n1\n',
      ['--instance', INSTANCE, '--ca', 'CA01'],
    ],
    ['lines of JSON', 'one.ndjson', `{"MqttInstanceId":"${INSTANCE}","caSn":"01","deviceSn":"0001"}\n`, []],
  ])('may have %s', async (_, name, text, flags) => {
    expect(await dryRun(name, text, '--json', ...flags)).toMatchObject(accepted(1));
  });

  it.each([
    ['CSV', `${HEADER}\n${row('1')}\n${row('2')}\n`],
    [
      'NDJSON',
      `{"instanceId":"${INSTANCE}","caSn":"1","deviceSn":"1"}\n{"instanceId":"${INSTANCE}","caSn":"1","deviceSn":"2"}`,
    ],
  ])('may come from standard input as %s', async (_, stdin) => {
    expect(await place.run(['submit', '-', '--json'], { stdin })).toMatchObject(accepted(2));
  });

  it('that says otherwise than --instance is not taken in silence', async () => {
    const ended = await dryRun('other.csv', `${HEADER}\n${row('1')}\n`, '--instance', 'post-cn-other');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(`line 2: instanceId is "${INSTANCE}", but "post-cn-other" was given`);
  });

  it('cannot move the cursor of the terminal that shows it', async () => {
    const ended = await dryRun('escape.csv', `${HEADER}\n${row('\u001B[2Jx')}\n`);
    expect(ended.code).toBe(2);
    expect(ended.stderr).not.toContain('\u001B');
  });
});

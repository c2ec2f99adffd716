import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { certificates, manifestOf } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';
import { device, headerOf, NAMED, openPlanning, type Planning } from './planning.ts';

let place: Planning;
afterEach(() => place?.remove());

const expectNoFile = async (): Promise<void> => {
  await expect(access(place.planFile)).rejects.toThrow('ENOENT');
  await expect(access(`${place.planFile}.part`)).rejects.toThrow('ENOENT');
};

describe('a plan of a manifest', () => {
  it('says of each certificate what the cloud has, and of each CA what is left', async () => {
    place = await openPlanning();
    const manifest = await place.file('m.csv', NAMED);
    const { code, stdout, stderr } = await place.plan(manifest, '--out', place.planFile, '--json');
    expect(code).toBe(0);
    const header = await headerOf(place.planFile);
    expect(JSON.parse(stdout)).toEqual({
      plan: header.id,
      action: 'delete',
      certificates: 3,
      classes: { active: 2, inactive: 1, absent: 1, otherCa: 1 },
      cas: [
        { instanceId: INSTANCE, caSn: 'CA01', status: 'active', covered: 2, surviving: 1 },
        { instanceId: INSTANCE, caSn: 'CA02', status: 'inactive', covered: 1, surviving: 0 },
      ],
      calls: 3,
      warnings: [
        'CA CA01 is active: a device that holds its key can register again. Inactivate the CA (certsweep ca inactivate), or use --action inactivate. Deleting its 1 inactive certificate removes the mark that keeps these devices out.',
        'The plan covers CA CA02 as a whole: certsweep ca delete does this in one call, not 1.',
        '1 certificate is not registered: left out.',
        '1 certificate is registered under another CA than the one named, likely a typo: left out.',
      ],
    });
    expect(stderr).toContain(
      `CA CA01 of ${INSTANCE} is active\n  1 active, 1 inactive, 1 absent, 1 under another CA; 2 calls, 1 s; 1 survives\n`,
    );
    expect(header).toMatchObject({
      version: 1,
      action: 'delete',
      accounts: [{ name: 'fleet', endpoint: place.sandbox.url }],
      instances: [{ instanceId: INSTANCE, account: 'fleet', certificates: 3 }],
      manifestSha256: createHash('sha256').update(NAMED).digest('hex'),
    });
    const body = (await readFile(place.planFile, 'utf8')).split('\n').slice(1).join('\n');
    expect(body.split('\n')).toHaveLength(4);
    expect(header.sha256).toBe(createHash('sha256').update(body).digest('hex'));
    await place.expectUntouched();
  });

  it('is read from standard input, and writes nothing without --out', async () => {
    place = await openPlanning();
    const { code, stdout, stderr } = await place.run(['plan', '-', '--json'], { stdin: NAMED });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ plan: null, certificates: 3 });
    expect(stderr).toContain('No plan was written');
  });

  it('is refused for a bad row', async () => {
    place = await openPlanning();
    const manifest = await place.file('m.csv', `${NAMED}other,CA01,1\n`);
    const { code, stderr } = await place.plan(manifest, '--out', place.planFile);
    expect(code).toBe(2);
    expect(stderr).toContain('no account of the configuration has the instance "other"');
    await expectNoFile();
  });

  it('is not written beyond its caps, nor where nothing is registered', async () => {
    place = await openPlanning();
    await place.holdRedis();
    const manifest = await place.file('m.csv', NAMED);
    for (const { flags, words } of [
      { flags: ['--max-items', '2'], words: 'The plan has 3 certificates, more than --max-items 2' },
      { flags: ['--max-share-of-ca', '0.7'], words: 'covers 1 of the 1 certificate of CA CA02' },
    ]) {
      const { code, stdout, stderr } = await place.plan(manifest, '--out', place.planFile, '--json', ...flags);
      expect({ flags, code, stderr }).toEqual({ flags, code: 3, stderr: expect.stringContaining(words) });
      expect(JSON.parse(stdout)).toMatchObject({ plan: null, certificates: 3 });
    }
    await expectNoFile();
    const nothing = manifestOf([{ instanceId: INSTANCE, caSn: 'CA01', deviceSn: 'nowhere' }]);
    const { code, stderr } = await place.plan(await place.file('none.csv', nothing), '--out', place.planFile);
    expect(code).toBe(3);
    expect(stderr).toContain('none of the certificates is registered as given');
    await expectNoFile();
  });

  it('is refused with another action, with unclear input, and with no share', async () => {
    place = await openPlanning();
    const manifest = await place.file('m.csv', NAMED);
    for (const { flags, words } of [
      { flags: [manifest, '--action', 'activate'], words: 'Allowed choices are delete, inactivate' },
      { flags: [manifest, '--instance', INSTANCE], words: 'Give either a manifest, or --instance' },
      { flags: [], words: 'Give either a manifest, or --instance' },
      { flags: [manifest, '--status', 'active'], words: 'Selectors need --instance' },
      { flags: [manifest, '--max-share-of-ca', '5%'], words: '--max-share-of-ca 5% is not a share of a CA' },
      { flags: ['--instance', 'other'], words: 'No account of the configuration has the instance "other"' },
    ]) {
      const ended = await place.plan(...flags);
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      expect(ended.stderr).toContain(words);
    }
    expect(place.sandbox.seen().byOperation).toEqual({});
  });

  it('says what was refused where a read was, and where the file cannot be written', async () => {
    place = await openPlanning({
      plan: { seed: 1, faults: [{ kind: 'code', code: 'NoPermission', operations: ['ListCaCertificate'] }] },
    });
    const manifest = await place.file('m.csv', NAMED);
    const refused = await place.plan(manifest, '--out', place.planFile);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('grant mq:ListDeviceCertificate and mq:ListCaCertificate');
    await expectNoFile();
    const lost = await place.plan(manifest, '--out', `${place.folder}/missing/it.plan`);
    expect(lost.code).toBe(3);
    expect(lost.stderr).toContain('cannot be written (ENOENT): choose another place with --out.');
  });

  it('counts each certificate once while the pages of the listing overlap', async () => {
    const all = certificates(1_500);
    place = await openPlanning({ registry: all.map(({ deviceSn, caSn }) => device(deviceSn, caSn)) });
    const manifest = await place.file('m.csv', manifestOf(all.slice(0, 1_200)));
    const { stdout } = await place.plan(manifest, '--out', place.planFile, '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      certificates: 1_200,
      cas: [{ caSn: 'CA01', covered: 1_200, surviving: 300 }],
    });
    expect(await place.submitPlan(place.planFile)).toMatchObject({ code: 0 });
  });
});

it('a plan to inactivate says so in its batch', async () => {
  place = await openPlanning();
  const { code } = await place.plan('--instance', INSTANCE, '--action', 'inactivate', '--out', place.planFile);
  expect(code).toBe(0);
  const ran = await place.submitPlan(place.planFile, '--execute', '--yes');
  expect(JSON.parse(ran.stdout)).toEqual({
    batch: expect.any(String),
    action: 'inactivate',
    accepted: 4,
    duplicates: 0,
    rejected: 0,
  });
});

describe('a plan of a selection', () => {
  it('has what the selectors choose, and counts what stays', async () => {
    place = await openPlanning();
    const flags = ['--instance', INSTANCE, '--status', 'active'];
    const { code, stdout } = await place.plan(...flags, '--out', place.planFile, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      certificates: 3,
      classes: { active: 3, inactive: 0, absent: 0, otherCa: 0 },
      cas: [
        { caSn: 'CA01', covered: 2, surviving: 1 },
        { caSn: 'CA02', covered: 1, surviving: 0 },
      ],
    });
    expect(await headerOf(place.planFile)).toMatchObject({ manifestSha256: null, certificates: 3 });
    const of = await place.plan('--instance', INSTANCE, '--ca', 'CA02', '--json');
    expect(JSON.parse(of.stdout)).toMatchObject({ certificates: 1, cas: [{ caSn: 'CA02', surviving: 0 }] });
  });

  it('is refused where nothing is selected', async () => {
    place = await openPlanning();
    const { code } = await place.plan('--instance', INSTANCE, '--expired-for', '99999d', '--out', place.planFile);
    expect(code).toBe(3);
    await expectNoFile();
  });
});

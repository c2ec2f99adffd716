import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer } from '../../src/core/answer.ts';
import { MAX_MESSAGE_LENGTH, MAX_REDACTED_LENGTH, redactorFor } from '../../src/mqtt/redact.ts';
import { FAULT_KINDS, parseFaultPlan } from '../../src/sandbox/fault-plan.ts';
import { LOOPBACK_CERTIFICATE, LOOPBACK_KEY } from '../sandbox/loopback-certificate.ts';
import { leaksIn } from '../support/secrecy.ts';
import {
  ACCOUNT,
  holding,
  KEY,
  newCertificate,
  optionsFor,
  startTestSandbox,
  startWire,
  withClient,
} from './clients.ts';

const SECRETS = Object.values(KEY);

function expectNoSecret(shown: unknown): void {
  const text = typeof shown === 'string' ? shown : `${JSON.stringify(shown)} ${inspect(shown, { depth: 10 })}`;
  expect(leaksIn(text, SECRETS), `leaks in ${text}`).toEqual([]);
}

describe('no secret is in an answer', () => {
  it('of all the faults there are, of changes and of reads', async () => {
    const sandbox = await startTestSandbox();
    const answers: Answer[] = [];
    await withClient(optionsFor(sandbox.url, { callDeadlineMs: 200 }), async (client) => {
      for (const kind of FAULT_KINDS) {
        const isCode = kind === 'code' || kind === 'code-after';
        const extra = isCode ? { code: 'SignatureDoesNotMatch' } : kind === 'slow' ? { delayMs: 10_000 } : {};
        const plan = parseFaultPlan({ seed: 1, faults: [{ kind, ...extra }] });
        if (!plan.ok) throw new Error(plan.message);
        sandbox.setPlan(plan.plan);
        answers.push(await client.deleteDeviceCertificate(newCertificate()));
      }
      for (const code of ['InvalidAccessKeyId.NotFound', 'Forbidden.RAM', 'InvalidSecurityToken.Expired']) {
        sandbox.revokeKey(KEY.accessKeyId, code);
        answers.push(await client.readInstance('post-cn-own'), await client.deleteDeviceCertificate(newCertificate()));
      }
    });
    await sandbox.close();
    const endpoints = ['http://127.0.0.1:1', 'https://127.0.0.1:1', sandbox.url];
    for (const endpoint of endpoints) {
      await withClient(optionsFor(endpoint), async (client) => {
        answers.push(await client.readInstance('post-cn-own'), await client.deleteDeviceCertificate(newCertificate()));
      });
    }
    expect(answers).toHaveLength(FAULT_KINDS.length + 12);
    expect(answers.filter(({ kind }) => kind === 'accepted')).toEqual([]);
    expectNoSecret(answers);
  });

  it('of an endpoint that repeats the request, as a code, a message, a page, a request id or a header', async () => {
    const shapes: ((text: string) => string)[] = [
      (text) => JSON.stringify({ Code: 'SignatureDoesNotMatch', Message: `server string to sign is:${text}` }),
      (text) => JSON.stringify({ Code: text, Message: text, RequestId: text, HostId: text }),
      (text) => JSON.stringify({ RequestId: text, DeviceSn: text }),
      (text) => `<html>${text}</html>`,
      (text) => text,
      () => '{"Code":"Throttling"',
    ];
    let shape = shapes[0];
    const wire = await startWire((request, response) => {
      const query = (request.url ?? '').slice(2);
      const text = `${query}&${encodeURIComponent(query)}&${encodeURIComponent(encodeURIComponent(query))} ${SECRETS.join(' ')}`;
      response.writeHead(403, { 'x-acs-retry-after': encodeURIComponent(query) });
      response.end(shape?.(text));
    });
    await withClient(optionsFor(wire.url), async (client) => {
      for (shape of shapes) {
        expectNoSecret(await client.readInstance('post-cn-own'));
        expectNoSecret(await client.deleteDeviceCertificate(newCertificate()));
      }
    });
    await wire.close();
  });

  it('of a source of credentials that talks too much', async () => {
    const told = { AccessKeyId: 'LTAI5tOther', AccessKeySecret: 'otherSecret', SecurityToken: 'otherToken' };
    const failure = Promise.reject(new Error(`body: ${JSON.stringify(told)}`));
    const credentials = { get: () => failure, invalidate: () => undefined };
    const options = optionsFor('http://127.0.0.1:1', { credentials });
    const answer = await withClient(options, (client) => client.deleteDeviceCertificate(newCertificate()));
    expect(answer).toMatchObject({ kind: 'not-sent', reason: 'no-credentials' });
    expect(inspect(answer)).not.toMatch(/LTAI5tOther|otherSecret|otherToken/);
  });

  it('of a source that fails with no Error', async () => {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what others throw is not ours to choose
    const credentials = { ...holding(KEY), get: (): Promise<never> => Promise.reject(`oops ${KEY.accessKeySecret}`) };
    const answer = await withClient(optionsFor('http://127.0.0.1:1', { credentials }), (client) =>
      client.readInstance('post-cn-own'),
    );
    expect(answer).toMatchObject({ kind: 'not-sent', message: 'the source failed' });
  });
});

describe('a redactor', () => {
  const secret = fc
    .string({ minLength: 4, maxLength: 40, unit: 'binary-ascii' })
    .filter((text) => !/\p{C}/u.test(text) && text.trim() === text);

  it('leaves no form of a secret, wherever it stands', () => {
    fc.assert(
      fc.property(
        secret,
        secret,
        fc.string(),
        fc.string(),
        fc.nat(2),
        (accessKeyId, accessKeySecret, before, after, times) => {
          // What the marks themselves contain is not a secret.
          fc.pre(!'[redacted]...'.includes(accessKeyId) && !'[redacted]...'.includes(accessKeySecret));
          fc.pre(!before.includes(accessKeySecret) && !after.includes(accessKeySecret));
          let form = accessKeySecret;
          for (let time = 0; time < times; time += 1) form = encodeURIComponent(form);
          const shown = redactorFor({ accessKeyId, accessKeySecret })(`${before} ${form} ${after}`);
          expect(shown).not.toContain(` ${form} `);
          expect(shown.length).toBeLessThanOrEqual(MAX_MESSAGE_LENGTH);
        },
      ),
    );
  });

  it('gives one line of plain text for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (text) => {
        const shown = redactorFor(KEY)(text);
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        expect(shown.length).toBeLessThanOrEqual(MAX_MESSAGE_LENGTH);
      }),
    );
  });

  it.each([
    ['https://h/?AccessKeyId=a&b=c and more', 'https://h/?[redacted] and more'],
    ['to sign: POST&%2F&AccessKeyId%3DLTAIx%26Action%3Dy', 'to sign: POST&%2F&AccessKeyId%3D[redacted]%26Action%3Dy'],
    ['SecurityToken%253Dabc%252B%2526x', 'SecurityToken%253D[redacted]%2526x'],
    ['{"AccessKeySecret": "abc", "x": 1}', '{"AccessKeySecret": "[redacted]", "x": 1}'],
    [
      'Specified signature is not matched with our calculation.',
      'Specified signature is not matched with our calculation.',
    ],
    ['SignatureDoesNotMatch', 'SignatureDoesNotMatch'],
    ['a\u200Bb\u0000c', 'a b c'],
  ])('makes %j %j', (text, shown) => {
    expect(redactorFor(undefined)(text)).toBe(shown);
  });

  it('takes no time for what was made to take it', () => {
    // A pattern that starts over at each of them takes many seconds.
    const texts = [
      'http://',
      'Signature',
      'AccessKeyId ',
      'Signature%25',
      'Signature=%25',
      '%25',
      ' ',
      KEY.accessKeyId,
    ];
    const startMs = performance.now();
    for (const text of texts) redactorFor(KEY)(text.repeat(280_000 / text.length));
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });

  it('leaves nothing of a secret that lies where it stops to look', () => {
    for (let at = 0; at <= KEY.accessKeySecret.length; at += 1) {
      // Little is left of the query, so its end is shown.
      const query = `http://h/?${'x'.repeat(MAX_REDACTED_LENGTH - 12 - at)}`;
      const shown = redactorFor(KEY)(`${query} ${KEY.accessKeySecret} and more`);
      expect(shown).not.toContain(KEY.accessKeySecret.slice(0, 3));
      expect(shown).toContain('http://h/?[redacted]');
    }
  });

  it('cuts no character in half', () => {
    const shown = redactorFor(undefined)(`${'x'.repeat(MAX_MESSAGE_LENGTH - 4)}${'\u{1F600}'.repeat(5)}`);
    expect(shown).toBe(`${'x'.repeat(MAX_MESSAGE_LENGTH - 4)}...`);
  });

  it('leaves values alone that are too short to be secrets', () => {
    expect(redactorFor({ accessKeyId: 'a', accessKeySecret: 'b' })('a bad day')).toBe('a bad day');
  });
});

describe('a process of its own', () => {
  const project = fileURLToPath(new URL('../..', import.meta.url));
  let folder: string;
  let program: string;
  beforeAll(async () => {
    // Compiled from the sources as they are now: a build from before would test yesterday's code.
    folder = await mkdtemp(join(tmpdir(), 'certsweep-caller-'));
    const configuration = {
      extends: join(project, 'tsconfig.json'),
      compilerOptions: { rootDir: project, outDir: join(folder, 'out'), declaration: false },
      files: [join(project, 'test/mqtt/caller.ts')],
      include: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(configuration));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await writeFile(join(folder, 'ca.pem'), LOOPBACK_CERTIFICATE);
    await symlink(join(project, 'node_modules'), join(folder, 'node_modules'));
    await promisify(execFile)(process.execPath, [join(project, 'node_modules/typescript/bin/tsc'), '-p', folder]);
    program = join(folder, 'out/test/mqtt/caller.js');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const run = (url: string, environment: Record<string, string>): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(process.execPath, [program, url, 'post-cn-own'], {
      env: {
        ALIBABA_CLOUD_ACCESS_KEY_ID: KEY.accessKeyId,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: KEY.accessKeySecret,
        ALIBABA_CLOUD_SECURITY_TOKEN: KEY.securityToken,
        ...environment,
      },
    });

  it('calls over TLS where it trusts the certificate, and sends nothing where it does not', async () => {
    const secure = await startTestSandbox({ tls: { key: LOOPBACK_KEY, cert: LOOPBACK_CERTIFICATE } });
    const trusting = await run(secure.url, { NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem') });
    expect(JSON.parse(trusting.stdout)).toMatchObject({
      answers: [{ kind: 'accepted' }, { kind: 'accepted' }, { kind: 'accepted' }, { code: 'FindDeviceBySnError' }],
      skew: { ok: true },
    });
    expectNoSecret(trusting.stdout + trusting.stderr);
    const before = secure.seen().calls;
    const refused = { kind: 'network', code: 'DEPTH_ZERO_SELF_SIGNED_CERT', effect: 'none' };
    const wary = await run(secure.url, {});
    expect(JSON.parse(wary.stdout)).toMatchObject({
      answers: [refused, refused, refused, refused],
      skew: { ok: false },
    });
    expect(secure.seen().calls).toBe(before);
    expectNoSecret(wary.stdout + wary.stderr);
    await secure.close();
  });

  it.each(['*', 'httpx:*', 'httpx:body,other', '*,-other'])('prints no request with DEBUG=%s', async (debug) => {
    const sandbox = await startTestSandbox({ accounts: [ACCOUNT] });
    const { stdout, stderr } = await run(sandbox.url, { DEBUG: debug });
    expect(JSON.parse(stdout)).toMatchObject({
      answers: [{ kind: 'accepted' }, { kind: 'accepted' }, { kind: 'accepted' }, { kind: 'refused' }],
      debug: `${debug},-httpx:*`,
    });
    expect(stderr).not.toContain('httpx');
    expectNoSecret(stdout + stderr);
    await sandbox.close();
  });

  it('prints no key that it fetches, either', async () => {
    const sandbox = await startTestSandbox();
    const { accessKeyId, accessKeySecret, securityToken } = KEY;
    const issued = { AccessKeyId: accessKeyId, AccessKeySecret: accessKeySecret, SecurityToken: securityToken };
    const issuer = await startWire((_, response) =>
      response.end(JSON.stringify({ Code: 'Success', ...issued, Expiration: '2099-01-01T00:00:00Z' })),
    );
    const { stdout, stderr } = await run(sandbox.url, {
      ALIBABA_CLOUD_ACCESS_KEY_ID: '',
      ALIBABA_CLOUD_CLI_PROFILE_DISABLED: 'true',
      ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true',
      ALIBABA_CLOUD_CREDENTIALS_FILE: '/nonexistent/credentials',
      ALIBABA_CLOUD_CREDENTIALS_URI: issuer.url,
      DEBUG: '*',
      NODE_DEBUG: 'http,https,net,tls',
    });
    expect(JSON.parse(stdout)).toMatchObject({ answers: [{ kind: 'accepted' }, {}, {}, {}] });
    expectNoSecret(stdout + stderr);
    await Promise.all([sandbox.close(), issuer.close()]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { settingsOf } from '../support/installation.ts';
import { askFor, askRaw, openHttpRoom, TOKEN_ENTRIES, TOKENS, type HttpRoom } from './http-room.ts';

let room: HttpRoom;
beforeAll(async () => {
  room = await openHttpRoom({ basePath: '/sweep', publicUrl: 'https://certs.example.com' });
});
afterAll(() => room.remove());

/** The cookie of a new session. */
async function logIn(url = room.url): Promise<string> {
  const answer = await askFor(`${url}/login`, {
    method: 'POST',
    body: new URLSearchParams({ token: TOKENS.operator }).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(answer).toMatchObject({ status: 303 });
  expect(answer.headers.get('location')).toBe('/sweep/');
  const cookie = answer.headers.get('set-cookie') ?? '';
  expect(cookie).toMatch(/; Max-Age=43200; Path=\/sweep\/; HttpOnly; SameSite=Strict$/);
  return cookie.split(';')[0] ?? '';
}

describe('who asks', () => {
  it('is asked for a token, and told the next step without one', async () => {
    const answer = await room.ask('/v1/batches');
    expect(answer).toMatchObject({ status: 401, json: { status: 401, next: expect.stringContaining('Bearer') } });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(await room.ask('/v1/batches', { as: 'viewer' })).toMatchObject({ status: 200, json: { batches: [] } });
    // Under the base path and without it: a proxy may take it off.
    expect(await askRaw(`${new URL(room.url).origin}/livez`, {})).toBe(200);
    expect(await room.ask('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
  });

  it('is turned away with a wrong token, on record and not without end; right ones are served all the same', async () => {
    for (const token of ['x', 'cst_', `${TOKENS.viewer}x`, 'cst_'.padEnd(47, 'z'), '']) {
      const answer = await room.ask('/v1/halts', { headers: { authorization: `Bearer ${token}` } });
      expect(answer).toMatchObject({ status: 401 });
    }
    const wrong = { headers: { authorization: 'Bearer nobody' } };
    const many = await Promise.all(Array.from({ length: 30 }, () => room.ask('/v1/halts', wrong)));
    expect(new Set(many.map(({ status }) => status))).toEqual(new Set([401, 429]));
    expect(await room.ask('/v1/halts', { as: 'viewer' })).toMatchObject({ status: 200 });
    const refused = (await room.audit()).filter(({ event }) => event === 'access-refused');
    expect(refused).toHaveLength(20);
    expect(refused[0]?.reason).toBe('wrong token from 127.0.0.1 for GET /v1/halts');
    expect(JSON.stringify(refused)).not.toContain('cst_');
  });

  it('is not served under the name of another host', async () => {
    const { port } = new URL(room.url);
    const path = `http://127.0.0.1:${port}/v1/halts`;
    const authorization = `Bearer ${TOKENS.viewer}`;
    const asHost = (host: string): Promise<number> => askRaw(path, { host, authorization });
    expect(await asHost('certs.example.com')).toBe(200);
    expect(await asHost(`localhost:${port}`)).toBe(200);
    expect(await asHost(`[::1]:${port}`)).toBe(200);
    for (const host of [
      'evil.example.com',
      '127.0.0.1.evil.com',
      'certs.example.com.evil.com',
      '169.254.169.254',
      'x@localhost',
    ])
      expect([host, await asHost(host)]).toEqual([host, 421]);
    // A supervisor asks by address.
    expect(await askRaw(`http://127.0.0.1:${port}/livez`, { host: '10.0.0.7:9480' })).toBe(200);
  });

  it('logs in with the token once; any process accepts the session, until the token is removed or the session ended', async () => {
    const cookie = await logIn();
    const same = { cookie, 'sec-fetch-site': 'same-origin' };
    expect(await room.ask('/v1/halts', { headers: { cookie } })).toMatchObject({ status: 200 });
    const other = await room.serve();
    expect(await askFor(`${other.url}/v1/halts`, { headers: { cookie } })).toMatchObject({ status: 200 });
    const tokens = TOKEN_ENTRIES.filter(({ name }) => name !== 'operator');
    await room.configure(settingsOf(undefined, { http: { port: 0, tokens } }), 'without.yaml');
    const without = await room.serve('without.yaml');
    expect(await askFor(`${without.url}/v1/halts`, { headers: { cookie } })).toMatchObject({ status: 401 });
    const redis = await room.redis();
    const id = cookie.split('=')[1] ?? '';
    const keys = await redis.keys('*session*');
    expect(keys).toHaveLength(1);
    expect(`${keys.join()} ${await redis.get(keys[0] ?? '')}`).not.toContain(id);
    expect(await redis.pttl(keys[0] ?? '')).toBeGreaterThan(11.9 * 3_600_000);
    expect(await room.ask('/logout', { method: 'POST', headers: same })).toMatchObject({ status: 303 });
    expect(await askFor(`${other.url}/v1/halts`, { headers: { cookie } })).toMatchObject({ status: 401 });
    expect(await room.ask('/v1/halts', { headers: { cookie: 'certsweep_session=../../x' } })).toMatchObject({
      status: 401,
    });
  });

  it('does not log in from the page of another site', async () => {
    const body = new URLSearchParams({ token: TOKENS.operator }).toString();
    for (const headers of [
      { origin: 'https://evil.example.com' },
      { 'sec-fetch-site': 'cross-site' },
      { origin: 'null' },
    ])
      expect(await room.ask('/login', { method: 'POST', body, headers: { ...headers } })).toMatchObject({
        status: 403,
      });
  });
});

it('without tokens, everybody on loopback may read, and any other address is refused', async () => {
  await room.configure(settingsOf(undefined, { http: { port: 0 } }), 'open.yaml');
  const { url } = await room.serve('open.yaml');
  expect(await askFor(`${url}/v1/batches`)).toMatchObject({ status: 200 });
  await room.configure(settingsOf(undefined, { http: { port: 0, host: '0.0.0.0' } }), 'wide.yaml');
  const refused = await room.run(['serve', '--config', `${room.folder}/wide.yaml`]);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toContain('http.host is "0.0.0.0": give it tokens');
});

it('certsweep token makes one that the configuration takes', async () => {
  const made = await room.run([
    'token',
    '--name',
    'ci',
    '--role',
    'producer',
    '--account',
    'fleet',
    '--max-items',
    '50',
  ]);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^cst_[\w-]{43}\n$/) });
  expect(made.stderr).not.toContain(made.stdout.trim());
  const entry = /\{ .* \}/.exec(made.stderr.replaceAll(/\s+/g, ' '))?.[0] ?? '';
  const text = `dataDir: ${room.dataDir}\nhttp: { port: 0, tokens: [${entry}] }\n`;
  await room.file('made.yaml', text);
  const { url } = await room.serve('made.yaml');
  const headers = { authorization: `Bearer ${made.stdout.trim()}` };
  expect(await askFor(`${url}/v1/halts`, { headers })).toMatchObject({ status: 200 });
});

it('a session changes something only from our own page, and a token is held to its accounts', async () => {
  const cookie = await logIn();
  const stop = (headers: Readonly<Record<string, string>>): ReturnType<HttpRoom['ask']> =>
    room.ask('/v1/stop', { method: 'POST', headers: { cookie, ...headers } });
  const own = `http://${new URL(room.url).host}`;
  for (const headers of [
    {},
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example.com' },
    { origin: 'null' },
    { origin: own, 'sec-fetch-site': 'cross-site' },
    { origin: `${own}.evil.example.com`, 'sec-fetch-site': 'same-origin' },
  ])
    expect([headers, (await stop({ ...headers } as Record<string, string>)).status]).toEqual([headers, 403]);
  expect(await stop({ origin: own, 'sec-fetch-site': 'same-origin' })).toMatchObject({
    status: 200,
    json: { isNew: true },
  });
  expect(await room.ask('/v1/accounts', { as: 'viewer' })).toMatchObject({
    json: { stopped: { requestedBy: 'operator' } },
  });
  expect(await room.ask('/v1/start', { method: 'POST', headers: { cookie, origin: own } })).toMatchObject({
    status: 200,
  });
  const pace = (as: 'operator' | 'narrow', qps: number | null): ReturnType<HttpRoom['ask']> =>
    room.ask('/v1/accounts/fleet/pace', {
      as,
      method: 'PUT',
      body: JSON.stringify({ qps, ...(qps !== null && { forSeconds: 60 }) }),
      headers: { 'content-type': 'application/json' },
    });
  expect(await pace('operator', 100)).toMatchObject({ status: 200, json: { lowered: { qps: 100 } } });
  expect(await pace('operator', 9_999)).toMatchObject({ status: 422 });
  expect(await pace('operator', 0.5)).toMatchObject({ status: 400 });
  expect(await pace('narrow', 100)).toMatchObject({ status: 403 });
  expect(await pace('operator', null)).toMatchObject({ status: 200, json: { lowered: null } });
  for (const path of ['/v1/stop', '/v1/start'])
    expect(await room.ask(path, { as: 'narrow', method: 'POST' })).toMatchObject({ status: 403 });
  expect(await room.ask('/v1/audit', { as: 'narrow' })).toMatchObject({ status: 403 });
  expect(await room.ask('/v1/accounts', { as: 'narrow' })).toMatchObject({ status: 200, json: { accounts: [] } });
  const events = (await room.audit()).map(({ event, requestedBy }) => `${event} ${requestedBy ?? ''}`);
  expect(events.filter((line) => line.endsWith(' operator'))).toHaveLength(4);
});

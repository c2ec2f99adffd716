import { afterAll, beforeAll, expect, it } from 'vitest';
import { ROLES, type Role } from '../../src/core/role.ts';
import { certificates, manifestOf } from '../support/fleet.ts';
import { INSTANCE } from '../support/installation.ts';
import { askRaw, openHttpRoom, TOKENS, type Answered, type HttpRoom } from './http-room.ts';

const EVERYBODY: readonly Role[] = ROLES;
const SUBMITTERS: readonly Role[] = ['producer', 'operator'];
const json = { 'content-type': 'application/json' };
const NO_BATCH = '20260101-000000-none';

/** Each route with who may; what they are then told is none of this table. */
const ROUTES: readonly (readonly [method: string, path: string, may: readonly Role[], body?: string])[] = [
  ['GET', '/v1/batches', EVERYBODY],
  ['GET', '/v1/batches/{id}', EVERYBODY],
  ['GET', '/v1/batches/{id}/report', EVERYBODY],
  ['GET', '/v1/batches/{id}/dead', EVERYBODY],
  ['GET', '/v1/events?batch={id}', EVERYBODY],
  ['GET', '/v1/halts', EVERYBODY],
  ['GET', '/v1/schedules', EVERYBODY],
  ['GET', '/v1/accounts', EVERYBODY],
  ['GET', '/v1/audit', EVERYBODY],
  ['GET', '/metrics', EVERYBODY],
  ['POST', '/v1/batches', SUBMITTERS, manifestOf(certificates(2, 1))],
  ['POST', '/v1/certificates', SUBMITTERS, '{}'],
  ['POST', '/v1/batches/{id}/pause', ['operator'], '{}'],
  ['POST', '/v1/batches/{id}/resume', ['operator'], '{}'],
  ['POST', '/v1/batches/{id}/cancel', ['operator'], '{}'],
  ['POST', '/v1/batches/{id}/approve', ['approver'], `{"manifest":"x","action":"delete"}`],
  ['POST', '/v1/batches/{id}/priority', ['operator'], '{"priority":"bulk"}'],
  ['GET', '/v1/certificates?deviceSn=00', EVERYBODY],
  ['PUT', '/v1/accounts/none/pace', ['operator'], '{"qps":1,"forSeconds":1}'],
  ['POST', '/v1/start', ['operator'], '{}'],
  ['POST', '/v1/stop', ['operator'], '{}'],
  ['POST', '/v1/dead/retry', ['operator'], '{"all":true}'],
  ['POST', '/v1/dead/discard', ['operator'], '{"all":true}'],
];

let room: HttpRoom;
beforeAll(async () => {
  const expired = {
    cron: '0 3 * * 1',
    timezone: 'Asia/Shanghai',
    instances: [INSTANCE],
    select: { expiredFor: '30d' },
  };
  room = await openHttpRoom({}, { schedules: { expired } });
});
afterAll(() => room.remove());

function ask([method, path, , body]: (typeof ROUTES)[number], as?: Role): Promise<Answered> {
  const headers = path === '/v1/batches' ? { 'content-type': 'text/csv' } : json;
  const asking = { method, ...(as !== undefined && { as }), ...(body !== undefined && { body, headers }) };
  return room.ask(path.replace('{id}', NO_BATCH), asking);
}

it('lets each role do what is its own, on every route, and nobody without a token', async () => {
  for (const route of ROUTES) {
    expect([route[1], (await ask(route)).status]).toEqual([route[1], 401]);
    for (const role of ROLES) {
      const { status, json: told } = await ask(route, role);
      const isRefused = status === 403;
      expect([...route.slice(0, 2), role, isRefused]).toEqual([...route.slice(0, 2), role, !route[2].includes(role)]);
      const tellsRole = String(told['next']).includes('role');
      expect([...route.slice(0, 2), role, tellsRole]).toEqual([...route.slice(0, 2), role, isRefused]);
    }
  }
});

it('shows the schedules, to a token of their accounts only', async () => {
  const { json: shown } = await room.ask('/v1/schedules', { as: 'viewer' });
  const next: unknown = expect.stringMatching(/T19:00:00\.000Z$/);
  expect(shown).toEqual({
    schedules: [
      { schedule: 'expired', cron: '0 3 * * 1', timezone: 'Asia/Shanghai', next, state: 'active', reason: null },
    ],
  });
  expect((await room.ask('/v1/schedules', { as: 'narrow' })).json).toEqual({ schedules: [] });
});

it('describes every route of the table, no other, and every reference in it leads somewhere', async () => {
  const { json: document } = await room.ask('/openapi.json', { as: 'viewer' });
  expect((await room.ask('/openapi.json')).status).toBe(401);
  const paths = document['paths'] as Record<
    string,
    Record<string, { responses: object; parameters?: { in: string; name: string }[] }>
  >;
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.toSorted()).toEqual(
    ROUTES.map(([method, path]) => `${method} ${path.split('?')[0]?.replace('none', '{name}') ?? ''}`).toSorted(),
  );
  for (const [path, methods] of Object.entries(paths)) {
    for (const { responses, parameters = [] } of Object.values(methods)) {
      expect(Object.keys(responses)).toContain('default');
      const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`);
      expect(inPath).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  }
  const text = JSON.stringify(document);
  for (const [, ref = ''] of text.matchAll(/"\$ref":"#([^"]+)"/g)) {
    const found = ref
      .slice(1)
      .split('/')
      .reduce<unknown>((at, step) => Reflect.get(Object(at), step) as unknown, document);
    expect([ref, typeof found]).toEqual([ref, 'object']);
  }
});

it('shows the metrics of all accounts to no token of some, and to a collector by whatever name it asks', async () => {
  expect((await room.ask('/metrics', { as: 'narrow' })).status).toBe(403);
  const strange = { host: 'serve.internal:9480' };
  const authorization = `Bearer ${TOKENS.viewer}`;
  expect(await askRaw(`${room.url}/metrics`, { ...strange, authorization })).toBe(200);
  expect(await askRaw(`${room.url}/metrics`, { ...strange, authorization: 'Bearer wrong' })).toBe(401);
  expect(await askRaw(`${room.url}/metrics`, strange)).toBe(421);
  expect(await askRaw(`${room.url}/v1/halts`, { ...strange, authorization })).toBe(421);
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE, KEY_ENV } from '../support/installation.ts';
import { faultsIn, faultsOf, routesOf, type OpenApiDocument } from './document.ts';
import { askFor, TOKEN_ENTRIES, type Answered, type Asking, type TokenName } from './http-room.ts';

const QPS = 200;
/** The cloud does not know it. */
const NO_INSTANCE = 'post-cn-other';
const [doomed] = certificates(1, 40);

let fleet: Fleet;
let url: string;
let document: OpenApiDocument;
/** The batch with a dead letter. */
let batch: string;
/** What was asked, and answered other than by a problem. */
const granted = new Set<string>();

beforeAll(async () => {
  const serials = [doomed?.deviceSn ?? ''];
  fleet = await openFleet({
    sandbox: {
      plan: { seed: 1, faults: [{ kind: 'code', code: 'ParameterFieldCheckFailed', deviceSns: serials, times: 2 }] },
    },
  });
  const account = { endpoint: fleet.sandbox.url, credentials: KEY_ENV, limits: { qps: QPS } };
  await fleet.configure({
    egress: { qps: QPS },
    accounts: { fleet: { ...account, instances: [INSTANCE] }, other: { ...account, instances: [NO_INSTANCE] } },
    approvals: { above: 5 },
    schedules: { yearly: { cron: '0 3 1 1 *', timezone: 'UTC', instances: [INSTANCE], select: { expiredFor: '30d' } } },
    http: { port: 0, tokens: TOKEN_ENTRIES },
  });
  await fleet.holdRedis();
  await fleet.startWorker();
  const server = fleet.start(['serve']);
  await server.says('"event":"serve-started"');
  url = /"url":"(http:\/\/[^/"]+)/.exec(server.output())?.[1] ?? '';
  document = (await askFor(`${url}/openapi.json`, { as: 'viewer' })).json as unknown as OpenApiDocument;
});
afterAll(() => fleet.remove());

/** Asks a route, and holds its answer against the document. @param more - of the path: what its parameters are, and the query */
async function ask(route: string, more: Readonly<Record<string, string>>, asking: Asking): Promise<Answered> {
  const [method = '', path = ''] = route.split(' ');
  const { query = '', ...params } = more;
  const at = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '');
  const answer = await askFor(`${url}${at}${query}`, { method, ...asking });
  expect([route, faultsOf(document, route, answer)]).toEqual([route, []]);
  if (answer.status < 400) granted.add(route);
  return answer;
}

function get(route: string, more: Readonly<Record<string, string>> = {}, as: TokenName = 'viewer'): Promise<Answered> {
  return ask(`GET ${route}`, more, { as });
}

function send(route: string, id: string, body: object, as: TokenName = 'operator'): Promise<Answered> {
  const headers = { 'content-type': 'application/json' };
  return ask(route, { id, name: id }, { as, body: JSON.stringify(body), headers });
}

async function submit(size: number, seed: number, query: string): Promise<Answered> {
  const headers = { 'content-type': 'text/csv' };
  return ask('POST /v1/batches', { query }, { as: 'producer', body: manifestOf(certificates(size, seed)), headers });
}

describe('the answers are what the document says they are', () => {
  it('of batches, in each state and of each action', async () => {
    await submit(3, 41, '');
    batch = String((await submit(1, 40, '?execute=true&confirm=1&reason=why')).json['batch']);
    await fleet.settled(batch);
    const retiring = String((await submit(2, 42, '?execute=true&confirm=2&action=retire&soak=30d')).json['batch']);
    await fleet.until(retiring, ({ phase }) => phase === 'soaking');
    await submit(2, 42, '?execute=true&confirm=2&action=retire&soak=30d');
    const waiting = String((await submit(6, 43, '?execute=true&confirm=6')).json['batch']);
    await submit(3, 44, '?execute=true&confirm=4');
    await submit(3, 44, '?execute=true&confirm=no');
    const dead = await get('/v1/batches/{id}/dead', { id: batch });
    expect(dead.json['letters']).toHaveLength(1);
    for (const id of [batch, retiring, waiting]) await get('/v1/batches/{id}', { id });
    expect((await get('/v1/batches')).json['batches']).toHaveLength(3);
    for (const format of ['csv', 'ndjson'])
      await get('/v1/batches/{id}/report', { id: batch, query: `?format=${format}` });
    const events = await get('/v1/events', { query: `?batch=${batch}` });
    const [, state = '{}'] = /event: progress\ndata: (.*)/.exec(events.text) ?? [];
    expect(faultsIn(document, { $ref: '#/components/schemas/Batch' }, JSON.parse(state))).toEqual([]);
    const last = /id: (\S+)\nevent: done/.exec(events.text)?.[1] ?? '';
    const headers = { 'last-event-id': last };
    await ask('GET /v1/events', { query: `?batch=${batch}` }, { as: 'viewer', headers });

    const { awaitsApproval } = (await get('/v1/batches/{id}', { id: waiting })).json as {
      awaitsApproval?: { manifest: string };
    };
    const { manifest } = awaitsApproval ?? {};
    await send('POST /v1/batches/{id}/approve', waiting, { manifest, action: 'activate' }, 'approver');
    await send('POST /v1/batches/{id}/approve', waiting, { manifest, action: 'delete' }, 'approver');
    await send('POST /v1/batches/{id}/priority', retiring, { priority: 'urgent' });
    for (const change of ['pause', 'resume', 'cancel', 'cancel'])
      await send(`POST /v1/batches/{id}/${change}`, retiring, {});
  });

  it('of single certificates, and of what stands in their way', async () => {
    await send('POST /v1/certificates', '', { ...certificates(1, 45)[0], instanceId: NO_INSTANCE }, 'producer');
    await expect.poll(async () => ((await get('/v1/halts')).json['halts'] as object[]).length).toBe(1);
    await send('PUT /v1/accounts/{name}/pace', 'fleet', { qps: 10, forSeconds: 60 });
    await send('PUT /v1/accounts/{name}/pace', 'fleet', { qps: QPS, forSeconds: 60 });
    await get('/v1/accounts');
    await get('/v1/batches/{id}', { id: 'direct-other' });
    await send('POST /v1/stop', '', { reason: 'a look' });
    await get('/v1/accounts');
    await get('/v1/batches/{id}', { id: 'direct-other' });
    await send('POST /v1/start', '', {});
    await send('POST /v1/start', '', {});
    await send('PUT /v1/accounts/{name}/pace', 'fleet', { qps: null });
  });

  it('of dead letters and of all else', async () => {
    await send('POST /v1/dead/retry', '', { code: 'ParameterFieldCheckFailed' });
    await send('POST /v1/dead/retry', '', { code: 'ParameterFieldCheckFailed', confirm: 1 });
    await fleet.until(batch, ({ dead }) => dead === 1);
    const { letters } = (await get('/v1/batches/{id}/dead', { id: batch })).json as {
      letters: { history: object[] }[];
    };
    expect(letters.map(({ history }) => history.length)).toEqual([1]);
    await get('/v1/certificates', { query: `?deviceSn=${doomed?.deviceSn ?? ''}` });
    await send('POST /v1/dead/discard', '', { all: true, confirm: 2 });
    await send('POST /v1/dead/discard', '', { all: true, confirm: 1 });
    await get('/v1/audit');
    await get('/v1/audit', { query: '?limit=1' });
    await get('/v1/schedules');
    await get('/metrics');
  });

  it('of every route, also to who has no token', async () => {
    const routes = routesOf(document);
    expect([...granted].toSorted()).toEqual(routes.toSorted());
    for (const route of routes) expect((await ask(route, { id: 'x', name: 'x' }, {})).status).toBe(401);
  });
});

it('the document says what a stop is, wherever it stands', () => {
  const { Stop } = document.components.schemas;
  expect(faultsIn(document, Stop ?? {}, null)).not.toEqual([]);
  expect(faultsIn(document, Stop ?? {}, { since: 1, requestedBy: 'x', reason: null, more: 1 })).not.toEqual([]);
});

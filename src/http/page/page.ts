import type { MiddlewareHandler } from 'hono';
import { auditPage } from '../../app/audit.ts';
import { deadGroups } from '../../app/dead-groups.ts';
import { findDevice } from '../../app/find.ts';
import { ownerIn } from '../../app/accounts.ts';
import { OutcomeHistories } from '../../app/outcome-history.ts';
import { batchStatus } from '../../app/overview.ts';
import type { PaceHistory } from '../../app/pace-history.ts';
import { readBatch } from '../../app/status.ts';
import type { Api, Asked, HttpEnv, Surroundings } from '../api.ts';
import { noSuchBatch } from '../problem.ts';
import { forbidden } from '../rights.ts';
import { notACursor, requireBatch } from '../routes/batch-reads.ts';
import { addAssets } from './assets.ts';
import { batchPageOf } from './batch.ts';
import { outcomeCharts, paceCharts, paceFigures, paceHistories } from './charts.ts';
import { deadPageOf, LETTERS_SHOWN, type LetterFilter } from './dead.ts';
import { NOTHING } from './markup.ts';
import { overviewPage, readOverview, type Sight } from './overview.ts';
import { auditPageOf, findPageOf } from './records.ts';
import { scheduleSights, schedulesPageOf } from './schedules.ts';
import { frameOf, pageOf, type Content } from './shell.ts';
import { Shared } from './shared.ts';
import { answer, loginPage } from './told.ts';

/** One read serves all who have the overview open. */
const GOOD_FOR_MS = 1_500;
/** A sample is taken every ten seconds. */
const SAMPLES_GOOD_MS = 5_000;
const ENTRIES = 200;
const WORD = /^[\w.-]{1,128}$/;

/** What a browser asks for. @param identify - finds out who asks */
export function addPage(api: Api, surroundings: Surroundings, identify: MiddlewareHandler<HttpEnv>): void {
  const { store } = surroundings;
  const { basePath } = store.config.http;
  const histories = new OutcomeHistories(store);
  const sights = new Shared<Sight | undefined>(GOOD_FOR_MS);
  const paces = new Shared<PaceHistory[]>(SAMPLES_GOOD_MS);
  const pacesOf = (asked: Asked): Promise<PaceHistory[]> => {
    const only = asked.get('who').accounts;
    return paces.get(asked, [only], () => paceHistories(store, only));
  };
  const show = async (asked: Asked, content: Content): Promise<Response> =>
    answer(pageOf(await frameOf(asked, surroundings), content), 200);

  addAssets(api);
  api.get('/login', () => answer(loginPage(basePath), 200));
  api.get('/', identify, async (asked) => {
    const only = asked.get('who').accounts;
    const { cursor } = asked.req.query();
    const [sight, samples] = await Promise.all([
      sights.get(asked, [only, cursor], () => readOverview(store, only, cursor)),
      pacesOf(asked),
    ]);
    if (sight === undefined) throw notACursor(cursor);
    return show(asked, overviewPage(basePath, sight, paceFigures(basePath, samples)));
  });
  api.get('/charts/pace', identify, async (asked) => asked.json(paceCharts(await pacesOf(asked))));
  api.get('/batches/:id', identify, async (asked) => {
    const id = batchOf(asked);
    await requireBatch(asked, store, id);
    const [seen, history, frame] = await Promise.all([
      readBatch(store, id),
      histories.read(id),
      frameOf(asked, surroundings),
    ]);
    if (seen === undefined) throw noSuchBatch(id);
    return answer(pageOf(frame, batchPageOf(frame, seen, history)), 200);
  });
  api.get('/charts/batches/:id', identify, async (asked) => {
    const id = batchOf(asked);
    await requireBatch(asked, store, id);
    const [detail, history] = await Promise.all([batchStatus(store.ledger, id), histories.read(id)]);
    if (detail === undefined) throw noSuchBatch(id);
    return asked.json(outcomeCharts(detail.action, history));
  });
  api.get('/dead', identify, async (asked) => {
    const filter = filterOf(asked);
    if (filter.batch !== undefined) await requireBatch(asked, store, filter.batch);
    const [found, frame] = await Promise.all([
      deadGroups(store, filter, LETTERS_SHOWN, asked.get('who').accounts),
      frameOf(asked, surroundings),
    ]);
    if (found.kind === 'no-batch') throw noSuchBatch(found.batch);
    return answer(pageOf(frame, deadPageOf(frame, filter, found)), 200);
  });
  // What every page has, for those that are not asked for as a whole again.
  api.get('/state', identify, (asked) => show(asked, { title: 'State', body: NOTHING }));
  api.get('/schedules', identify, async (asked) =>
    show(asked, schedulesPageOf(basePath, await scheduleSights(store, asked.get('who').accounts))),
  );
  api.get('/find', identify, async (asked) => {
    const deviceSn = (asked.req.query('deviceSn') ?? '').trim().slice(0, 128);
    if (deviceSn === '') return show(asked, findPageOf(basePath, ''));
    const { accounts } = asked.get('who');
    const ownerOf = ownerIn(store.config);
    const search = await findDevice(store, deviceSn);
    const found = search.found.filter(
      ({ certificate }) => accounts === undefined || accounts.includes(ownerOf(certificate.instanceId) ?? ''),
    );
    return show(asked, findPageOf(basePath, deviceSn, { ...search, found }));
  });
  api.get('/audit', identify, async (asked) => {
    const { accounts, name } = asked.get('who');
    if (accounts !== undefined)
      throw forbidden(`Token ${name} is for some accounts, and the record is of all.`, 'Use a token without accounts.');
    const { batch = '', since = '', cursor } = asked.req.query();
    if (cursor !== undefined && !/^\d{1,15}-\d{1,15}$/.test(cursor)) throw notACursor(cursor);
    const day = /^\d{4}-\d\d-\d\d$/.test(since) ? Date.parse(since) : Number.NaN;
    const page = await auditPage(
      store,
      { ...(batch !== '' && { batch }), ...(!Number.isNaN(day) && { since: day }) },
      ENTRIES,
      cursor,
    );
    const filter = { ...(batch !== '' && { batch }), ...(!Number.isNaN(day) && { since }) };
    return show(asked, auditPageOf(basePath, filter, page));
  });
}

function batchOf(asked: Asked): string {
  const id = asked.req.param('id') ?? '';
  if (!WORD.test(id)) throw noSuchBatch(id.slice(0, 128));
  return id;
}

function filterOf(asked: Asked): LetterFilter {
  const { batch = '', code = '', instanceId = '' } = asked.req.query();
  if (batch !== '' && !WORD.test(batch)) throw noSuchBatch(batch.slice(0, 128));
  return {
    ...(batch !== '' && { batch }),
    ...(code !== '' && { code: code.slice(0, 200) }),
    ...(instanceId !== '' && { instanceId: instanceId.slice(0, 128) }),
  };
}

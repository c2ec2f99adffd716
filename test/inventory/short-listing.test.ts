import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates, manifestOf, openFleet, type Fleet } from '../support/fleet.ts';
import { startEndpointFront, type EndpointFront } from '../support/endpoint-front.ts';
import { INSTANCE, KEY_ENV } from '../support/installation.ts';

const ALL = certificates(230);
const CA = { instanceId: INSTANCE, caSn: 'CA01' };

interface ListedData {
  Total: number;
  PageNo: number;
  PageSize: number;
  DeviceCertificateVOS: object[];
}

function edited(text: string): string {
  const body = JSON.parse(text) as { Data?: ListedData };
  if (body.Data?.DeviceCertificateVOS === undefined) return text;
  edit(body.Data);
  return JSON.stringify(body);
}

let fleet: Fleet;
let front: EndpointFront;
/** Changes what a listing answers, as an API may that does not what it says. */
let edit: (data: ListedData) => void = () => undefined;
beforeAll(async () => {
  fleet = await openFleet({ sandbox: { registry: [CA, ...ALL] } });
  front = await startEndpointFront(fleet.sandbox.url, (_, body) => edited(body));
  await fleet.configure({
    egress: { qps: 5_000, raisedLimit: true },
    retry: { baseMs: 50, capMs: 200 },
    limiter: { lateMs: 200 },
    accounts: {
      fleet: {
        endpoint: front.url,
        endpointIsTrusted: true,
        instances: [INSTANCE],
        limits: { qps: 5_000, raisedLimit: true },
        credentials: KEY_ENV,
      },
    },
  });
  await fleet.holdRedis();
});
afterAll(async () => {
  await fleet?.remove();
  await front?.close();
});

/** The first page lacks half of its rows, so many times. */
const halved = (times: number): ((data: ListedData) => void) => {
  let left = times;
  return (data) => {
    if (data.PageNo !== 1 || left === 0) return;
    left -= 1;
    data.DeviceCertificateVOS.length = 60;
  };
};
const inventory = async (): Promise<{ code: number | null; json: unknown; stderr: string }> => {
  const { code, stdout, stderr } = await fleet.run(['inventory', INSTANCE, '--json']);
  return { code, json: JSON.parse(stdout), stderr };
};
const TOO_EARLY = 'ended before its own total';

describe('a listing that says itself that more follows a page that is not full', () => {
  it('is asked once more', async () => {
    edit = halved(1);
    const { code, json, stderr } = await inventory();
    expect({ code, json }).toEqual({
      code: 0,
      json: { instance: INSTANCE, certificates: 230, state: 'stable', stepsBack: 0, calls: expect.any(Number) },
    });
    expect(stderr).not.toContain(TOO_EARLY);
  });

  it('and says so again may lack certificates, which an inventory and a plan say', async () => {
    edit = halved(Number.POSITIVE_INFINITY);
    const { json, stderr } = await inventory();
    expect(json).toMatchObject({ certificates: 60, state: 'stable', cutShort: true, calls: 2 });
    expect(stderr).toContain(TOO_EARLY);
    const manifest = await fleet.file('all.csv', manifestOf(ALL));
    const { stdout } = await fleet.run(['plan', manifest, '--json']);
    const { warnings } = JSON.parse(stdout) as { warnings: string[] };
    expect(warnings).toContainEqual(expect.stringContaining(TOO_EARLY));
  });

  it('is not counted, so its CA is not deleted', async () => {
    edit = halved(Number.POSITIVE_INFINITY);
    const { code, stderr } = await fleet.run(['ca', 'delete', INSTANCE, 'CA01', '--execute', '--confirm', 'CA01:60']);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining(TOO_EARLY) });
    expect(fleet.sandbox.seen().byOperation).not.toHaveProperty('DeleteCaCertificate');
    expect(fleet.sandbox.registeredCount).toBe(230);
  });

  it('proves of no certificate that it is gone', async () => {
    const batch = await fleet.submit(ALL.slice(100, 103));
    await fleet.startWorker();
    await fleet.settled(batch);
    edit = halved(Number.POSITIVE_INFINITY);
    const short = await fleet.run(['verify', batch]);
    expect({ code: short.code, stderr: short.stderr }).toEqual({ code: 3, stderr: expect.stringContaining(TOO_EARLY) });
    edit = () => undefined;
    expect((await fleet.run(['verify', batch])).code).toBe(0);
  });
});

it('counts each row that names nothing once, though pages overlap', async () => {
  edit = ({ DeviceCertificateVOS: rows }) => {
    for (const row of rows)
      if (/[0-7]$/.test(String(Reflect.get(row, 'DeviceSn')))) Reflect.set(row, 'Status', 'unknown');
  };
  const { stdout } = await fleet.run(['ca', 'delete', INSTANCE, 'CA01', '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ certificates: fleet.sandbox.registeredCount });
});

import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import axe from 'axe-core';
import { expect } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../support/browser.ts';
import { certificates, openFleet, type Fleet } from '../support/fleet.ts';
import { INSTANCE, KEY_ENV } from '../support/installation.ts';
import { TOKEN_ENTRIES, TOKENS, type TokenName } from './http-room.ts';

/** The path that the proxy has for it. */
const BASE = '/sweep';
/** Slow enough to watch. */
const QPS = 200;

/** A browser before a proxy, before two processes that serve, with a worker and a cloud. */
export interface PageRoom extends Fleet {
  /** As a browser sees it, with the base path. */
  readonly url: string;
  /** How many requests each process has answered. */
  readonly answered: readonly number[];
  /** What the browser complained of: broken policies, scripts that failed. */
  readonly complaints: readonly string[];
  /** Logs in with the token, in a context of its own. */
  enter(as: TokenName, options?: Parameters<Browser['newContext']>[0]): Promise<Page>;
  /** A page of another server on this host, which a browser takes for the same site. */
  stranger(html: string): Promise<string>;
}

export async function openPageRoom(executablePath: string): Promise<PageRoom> {
  const doomed = certificates(12, 77).map(({ deviceSn }) => deviceSn);
  const fleet = await openFleet({
    sandbox: {
      plan: { seed: 1, faults: [{ kind: 'code', code: 'ParameterFieldCheckFailed', deviceSns: doomed, times: 1 }] },
    },
  });
  await fleet.configure({
    egress: { qps: QPS },
    accounts: {
      fleet: { endpoint: fleet.sandbox.url, instances: [INSTANCE], credentials: KEY_ENV, limits: { qps: QPS } },
    },
    breaker: { maxDeadShare: 1 },
    approvals: { above: 5_000 },
    schedules: { yearly: { cron: '0 3 1 1 *', timezone: 'UTC', instances: [INSTANCE], select: { expiredFor: '30d' } } },
    http: { port: 0, basePath: BASE, tokens: TOKEN_ENTRIES },
  });
  await fleet.holdRedis();
  await fleet.startWorker();
  await fleet.run(['schedule', 'pause', 'yearly', '--reason', 'not yet']);
  const targets = await Promise.all([serve(fleet), serve(fleet)]);
  const answered = targets.map(() => 0);
  const servers: Server[] = [];
  const proxy = createServer((incoming, outgoing) => {
    const at = answered.indexOf(Math.min(...answered));
    answered[at] = (answered[at] ?? 0) + 1;
    const { url: path = '', method = 'GET', headers } = incoming;
    const onward = request(`${targets[at] ?? ''}${path}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  const listen = async (server: Server): Promise<string> => {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const url = `${await listen(proxy)}${BASE}`;
  const browser = await openBrowser(executablePath);
  const complaints: string[] = [];
  return {
    ...fleet,
    url,
    answered,
    complaints,
    async enter(as, options) {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) complaints.push(message.text());
      });
      await page.goto(`${url}/`);
      await page.getByLabel('Token').fill(TOKENS[as]);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('heading', { name: 'Overview' }).waitFor();
      return page;
    },
    stranger: (html) =>
      listen(createServer((_, outgoing) => outgoing.writeHead(200, { 'content-type': 'text/html' }).end(html))),
    async remove() {
      await browser.close();
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
      await fleet.remove();
    },
  };
}

async function serve(fleet: Fleet): Promise<string> {
  const server = fleet.start(['serve']);
  await server.says('"event":"serve-started"');
  const origin = /"url":"(http:\/\/[^/"]+)/.exec(server.output())?.[1];
  if (origin === undefined) throw new Error(`no url in ${server.output()}`);
  return origin;
}

/**
 * What axe finds on the page, and whether the page is wider than the window.
 * @param only - a rule, where nothing else can differ from what was looked at before
 */
export async function expectAccessible(page: Page, path: string, only?: 'color-contrast'): Promise<void> {
  if (!(await page.evaluate('"axe" in globalThis'))) await page.evaluate(axe.source);
  const found = await page.evaluate(async (rule) => {
    const { axe: here } = globalThis as unknown as {
      axe: {
        run(
          options: object,
        ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
      };
    };
    const { violations } = await here.run({
      resultTypes: ['violations'],
      // No page has a frame, nor media.
      preload: false,
      iframes: false,
      ...(rule !== undefined && { runOnly: [rule] }),
    });
    return violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('; ')}`,
    );
  }, only);
  expect(found, `${path} for axe`).toEqual([]);
  const wider = await page.evaluate('document.documentElement.scrollWidth - window.innerWidth');
  expect(wider, `${path} is wider than the window`).toBeLessThanOrEqual(0);
}

export type { Page };

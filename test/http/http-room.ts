import { createHash } from 'node:crypto';
import { request } from 'node:http';
import type { AuditEntry } from '../../src/app/audit.ts';
import type { RunningCommand } from '../support/command.ts';
import { openInstallation, settingsOf, type Installation } from '../support/installation.ts';

/** Tokens of the tests, by the name that they have in the configuration; of the form that `certsweep token` gives. */
export const TOKENS = {
  viewer: tokenOf('v'),
  producer: tokenOf('p'),
  operator: tokenOf('o'),
  approver: tokenOf('a'),
  second: tokenOf('s'),
  narrow: tokenOf('n'),
} as const;
export type TokenName = keyof typeof TOKENS;

/** As they stand in the configuration. */
export const TOKEN_ENTRIES = [
  { name: 'viewer', role: 'viewer' },
  { name: 'producer', role: 'producer' },
  { name: 'operator', role: 'operator' },
  { name: 'approver', role: 'approver' },
  { name: 'second', role: 'producer' },
  { name: 'narrow', role: 'operator', accounts: ['other'], maxItems: 5 },
].map((entry) => ({ ...entry, sha256: sha256Of(TOKENS[entry.name as TokenName]) }));

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Of its text; undefined where that is no JSON. */
  readonly json: Record<string, unknown>;
}

/** What a request has beside its path. */
export interface Asking {
  readonly as?: TokenName;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A served installation, reached over HTTP as its users do. */
export interface HttpRoom extends Installation {
  readonly url: string;
  readonly server: RunningCommand;
  ask(path: string, asking?: Asking): Promise<Answered>;
  /** Starts another one beside it. */
  serve(file?: string): Promise<{ readonly url: string; readonly server: RunningCommand }>;
  audit(): Promise<AuditEntry[]>;
}

/**
 * @param http - over the tokens and a free port
 * @param redisUrl - of another Redis than its own
 */
export async function openHttpRoom(http: object = {}, more: object = {}, redisUrl?: string): Promise<HttpRoom> {
  const settings = settingsOf(undefined, { http: { port: 0, tokens: TOKEN_ENTRIES, ...http }, ...more });
  const place = await openInstallation(settings, redisUrl === undefined ? {} : { CERTSWEEP_REDIS_URL: redisUrl });
  if (redisUrl === undefined) await place.holdRedis();
  const serve = async (file = 'certsweep.yaml'): Promise<{ url: string; server: RunningCommand }> => {
    const server = place.start(['serve', '--config', `${place.folder}/${file}`]);
    await server.says('"event":"serve-started"');
    const url = /"url":"([^"]+?)\/"/.exec(server.output())?.[1];
    if (url === undefined) throw new Error(`no url in ${server.output()}`);
    return { url, server };
  };
  const first = await serve();
  return {
    ...place,
    ...first,
    serve,
    ask: (path, asking) => askFor(`${first.url}${path}`, asking),
    async audit() {
      const { stdout } = await place.run(['audit', '--json']);
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as AuditEntry);
    },
  };
}

export async function askFor(url: string, { as, method = 'GET', body, headers = {} }: Asking = {}): Promise<Answered> {
  const authorization = as === undefined ? {} : { authorization: `Bearer ${TOKENS[as]}` };
  const answer = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...authorization, ...headers },
    ...(body !== undefined && { body }),
  });
  const text = await answer.text();
  const isJson = /json/.test(answer.headers.get('content-type') ?? '');
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    json: isJson && !text.includes('\n{') ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}

/** With headers that `fetch` sends by itself. */
export async function askRaw(url: string, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

function tokenOf(letter: string): string {
  return `cst_${letter.repeat(43)}`;
}

export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

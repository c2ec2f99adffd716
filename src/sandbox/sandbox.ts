import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import type { Certificate } from '../core/certificate.ts';
import { CLOUD_ACCOUNT_QPS, CLOUD_EGRESS_QPS } from '../core/pace.ts';
import type { SandboxAccount } from './accounts.ts';
import { answerControl, CONTROL_PREFIX, isLoopback, namesThisMachine } from './control.ts';
import type { Delivery } from './delivery.ts';
import { Endpoint, type SandboxClock } from './endpoint.ts';
import type { FaultPlan } from './fault-plan.ts';
import { hostMonotonicMs, type Journal } from './journal.ts';
import type { SandboxReport } from './observations.ts';
import type { ListedRegistry, NewDevice } from './listed-registry.ts';
import { populate, type Population, type PopulationOptions } from './population.ts';
import { registryLines } from './registry-file.ts';
import { latencySampler, seededRandom, type Latency } from './seeded.ts';

export interface SandboxOptions extends PopulationOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** PEM texts; with them the sandbox speaks https only. */
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly accounts: readonly SandboxAccount[];
  /** With which code inactivating an inactive certificate, or activating an active one, is refused. Default: it is accepted. */
  readonly inactiveAgainCode?: string;
  /** Default none. */
  readonly latency?: Latency;
  /** Default the cloud's own: 500 per account, 300 per source address, calls a second; a block lasts 60,000 ms. */
  readonly limits?: { readonly accountQps?: number; readonly egressQps?: number; readonly blockMs?: number };
  /** Default true; false counts calls over a quota but lets them through. */
  readonly enforce?: boolean;
  /** Default no faults. */
  readonly plan?: FaultPlan;
  /** Default 1. Decides statuses, latencies and how a blocked address is refused. */
  readonly seed?: number;
  /** Default the process's own clocks. */
  readonly clock?: SandboxClock;
  /** Hears every call; default nobody. Calls of a blocked address are not heard. */
  readonly journal?: Journal;
}

export interface Sandbox {
  /** `http://host:port`, without a slash at the end: the endpoint for a client. */
  readonly url: string;
  readonly port: number;
  readonly deletedCount: number;
  /** Undefined where every certificate exists until it is deleted. */
  readonly registeredCount: number | undefined;
  /** Whether the certificate is registered, active or not. */
  has(certificate: Certificate): boolean;
  /** Registers a certificate as the newest one. @throws Error when the registry is open */
  register(device: NewDevice): void;
  /** Takes a registration away, as a call would. */
  unregister(certificate: Certificate): void;
  /** The registry as lines of NDJSON. @throws Error when the registry is open */
  registryLines(): Iterable<string>;
  seen(): SandboxReport;
  /** From now on every call with the key is refused with the code. @throws Error when no account has the key */
  revokeKey(accessKeyId: string, code: string): void;
  /** @throws Error when no account has the key */
  restoreKey(accessKeyId: string): void;
  /** Replaces the plan; every device's faults start over. */
  setPlan(plan: FaultPlan): void;
  /** Ends every connection, also those that wait for an answer. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1024 * 1024;
const DEFAULT_BLOCK_MS = 60_000;

/**
 * Starts a stand-in for the OnsMqtt RPC API, version 2020-04-20, that checks, counts and, on a plan's order, misbehaves.
 * Its answers are JSON whatever `Format` asks for.
 * @throws Error when the port cannot be listened on, or tls holds no usable key
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const seed = options.seed ?? 1;
  const clock = options.clock ?? { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
  const population = await populate(options, seed, clock.monotonicMs);
  const endpoint = new Endpoint({
    accounts: options.accounts,
    registry: population.registry,
    limits: {
      accountQps: options.limits?.accountQps ?? CLOUD_ACCOUNT_QPS,
      egressQps: options.limits?.egressQps ?? CLOUD_EGRESS_QPS,
      blockMs: options.limits?.blockMs ?? DEFAULT_BLOCK_MS,
    },
    enforce: options.enforce ?? true,
    plan: options.plan ?? { seed, faults: [] },
    random: seededRandom(seed),
    clock,
    inactiveAgainCode: options.inactiveAgainCode,
    ...(options.journal !== undefined && { journal: options.journal }),
  });
  // A sequence of its own, so that the number of refusals does not shift the latencies.
  const drawLatencyMs = latencySampler(options.latency ?? { kind: 'none' }, seededRandom(seed + 1));
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    receive(endpoint, drawLatencyMs, request, response);
  };
  const server = options.tls === undefined ? createServer(handle) : createTlsServer(options.tls, handle);
  // Longer than any client keeps an idle connection, so that no call meets a closing one.
  server.keepAliveTimeout = 120_000;
  const port = await listen(server, options.port ?? 0, options.host ?? '127.0.0.1');
  population.devices?.start();
  return present({ ...population, endpoint, server }, options, port);
}

interface Parts extends Population {
  readonly endpoint: Endpoint;
  readonly server: Server;
}

function present(
  { endpoint, registry, listed, devices, server }: Parts,
  options: SandboxOptions,
  port: number,
): Sandbox {
  const mustBeListed = (): ListedRegistry => {
    if (listed === undefined) throw new Error('the registry is open: it cannot say what it holds');
    return listed;
  };
  const host = options.host ?? '127.0.0.1';
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    get deletedCount() {
      return registry.deletedCount;
    },
    get registeredCount() {
      return registry.registeredCount;
    },
    has: (certificate) => registry.stateOf(certificate) !== 'absent',
    register: (device) => mustBeListed().register(device),
    unregister: (certificate) => registry.change(certificate, 'absent'),
    registryLines: () => registryLines(mustBeListed()),
    seen: () => endpoint.seen(),
    revokeKey: (accessKeyId, code) => endpoint.accounts.revoke(accessKeyId, code),
    restoreKey: (accessKeyId) => endpoint.accounts.restore(accessKeyId),
    setPlan: (plan) => endpoint.setPlan(plan),
    async close() {
      endpoint.observations.stop();
      devices?.stop();
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, port: number, host: string): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

function receive(
  endpoint: Endpoint,
  drawLatencyMs: () => number,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { method = '', url = '' } = request;
  const address = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  if (url.startsWith(CONTROL_PREFIX)) {
    if (isLoopback(address) && namesThisMachine(request.headers.host ?? '')) {
      readBody(request, response, (body) => {
        const contentType = request.headers['content-type'] ?? '';
        const answer = answerControl(endpoint, { method, path: url, contentType, body });
        send(response, answer.status, 'application/json', JSON.stringify(answer.body));
      });
    } else send(response, 403, 'text/plain', 'control paths answer on loopback only\n');
    return;
  }
  const arrivedMs = hostMonotonicMs();
  const refused = endpoint.arrive(address);
  if (refused !== undefined) {
    deliver(response, refused);
    return;
  }
  readBody(request, response, (body) => {
    const mark = url.indexOf('?');
    const query = mark < 0 ? '' : url.slice(mark + 1);
    const { delivery, slowMs } = endpoint.answer(method, method === 'POST' && body !== '' ? body : query, {
      address,
      arrivedMs,
    });
    const delayMs = slowMs + drawLatencyMs();
    // Not waited for at the end of a process: a late answer keeps nobody alive.
    if (delayMs > 0) setTimeout(deliver, delayMs, response, delivery).unref();
    else deliver(response, delivery);
  });
}

function readBody(request: IncomingMessage, response: ServerResponse, then: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
    else response.destroy();
  });
  request.on('end', () => {
    const [only] = chunks;
    if (only === undefined) then('');
    else then((chunks.length === 1 ? only : Buffer.concat(chunks)).toString());
  });
}

function deliver(response: ServerResponse, delivery: Delivery): void {
  switch (delivery.kind) {
    case 'answer':
      send(response, delivery.status, delivery.contentType, delivery.body, delivery.retryAfterMs);
      return;
    case 'reset':
      response.destroy();
      return;
    case 'silence':
      return;
  }
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  retryAfterMs?: number,
): void {
  // The caller may be gone by the time a slow answer is due.
  if (response.destroyed) return;
  const headers: Record<string, string | number> = {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
  };
  if (retryAfterMs !== undefined) headers['x-acs-retry-after'] = retryAfterMs;
  response.writeHead(status, headers);
  response.end(body);
}

import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import type { Agent } from 'node:http';
import RpcClient from '@alicloud/pop-core';
import { hush, type DebugSwitch } from '../core/debug-switch.ts';
import type { AccessKey } from './access-key.ts';
import { fieldOf } from './fields.ts';
import type { OutgoingCall } from './outgoing-call.ts';

const API_VERSION = '2020-04-20';

/** The SDK's own timers only back ours up: its connect timer also runs while an answer is awaited, and it has no overall one. */
const SDK_GRACE_MS = 5_000;

export interface SdkCall {
  readonly action: string;
  /** Exactly these letters: the SDK puts the parameters, credentials included, into the URL of anything but `POST`. */
  readonly method: 'GET' | 'POST';
  readonly parameters: Readonly<Record<string, string>>;
}

/** The official SDK (@alicloud/pop-core), one instance for all calls; it throws and answers in its own ways. */
export class Sdk {
  readonly #rpc: RpcClient;
  readonly #agent: Agent;
  #key: AccessKey | undefined;

  constructor(endpoint: string, agent: Agent) {
    this.#agent = agent;
    // The SDK asks for the credentials at the start of `request`, before it waits for anything: they are those just set.
    const credentialsProvider = { getCredentials: () => Promise.resolve(this.#key) };
    const config = { endpoint, apiVersion: API_VERSION, credentialsProvider };
    // @ts-expect-error the SDK's types know neither `credentialsProvider` nor the second argument, `verbose`
    this.#rpc = new RpcClient(config, true);
  }

  /**
   * Sends one signed call with a nonce of its own; the SDK's is not unique enough.
   * @returns the SDK's `[body, entry]`, whatever the HTTP status
   * @throws whatever the SDK throws, not always an Error; SlotVoid or DeadlinePassed where the bytes would leave too late
   */
  async request(call: SdkCall, key: AccessKey, outgoing: OutgoingCall): Promise<unknown> {
    hushHttpx();
    let body: object | undefined;
    // Of a read, which may be long.
    if (call.method === 'GET') outgoing.takeBody = (read) => (body = read);
    const timeoutMs = outgoing.deadlineMs + SDK_GRACE_MS;
    this.#key = key;
    const reply = await this.#rpc.request<unknown>(
      call.action,
      { ...call.parameters, SignatureNonce: randomUUID() },
      {
        method: call.method,
        formatAction: false,
        formatParams: false,
        agent: this.#agent,
        connectTimeout: timeoutMs,
        readTimeout: timeoutMs,
        beforeRequest: (options: object) => {
          outgoing.depart();
          return Object.assign(options, { outgoing });
        },
      },
    );
    return body === undefined ? reply : [body, fieldOf(reply, '1')];
  }
}

/** Both SDK packages speak HTTP through httpx; they may bring one copy or two. */
const SWITCHES: readonly DebugSwitch[] = ['@alicloud/pop-core', '@alicloud/credentials'].map((name) => {
  const sdk = createRequire(createRequire(import.meta.url).resolve(name));
  return createRequire(sdk.resolve('httpx'))('debug') as DebugSwitch;
});

/**
 * Takes httpx out of `DEBUG`: it prints requests and answers whole, signatures and temporary keys included. What else
 * DEBUG names stays on. Asked before each call, since any package may turn everything on at any time.
 */
export function hushHttpx(): void {
  for (const debug of SWITCHES) hush(debug, 'httpx', ['body', 'header']);
}

import RpcClient from '@alicloud/pop-core';
import { z } from 'zod';
import type { Certificate } from '../../src/core/certificate.ts';
import type { SandboxAccount } from '../../src/sandbox/accounts.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';

export const ACCOUNT: SandboxAccount = {
  accessKeyId: 'testid',
  accessKeySecret: 'testsecret',
  instances: ['post-cn-own'],
};
export const NEIGHBOUR: SandboxAccount = {
  accessKeyId: 'neighbour',
  accessKeySecret: 'othersecret',
  instances: ['post-cn-other'],
};
export const CERTIFICATE: Certificate = {
  instanceId: 'post-cn-own',
  caSn: '007269004887',
  deviceSn: '00356217374433000001',
};

export const startTestSandbox = (options: Partial<SandboxOptions> = {}): Promise<Sandbox> =>
  startSandbox({ accounts: [ACCOUNT, NEIGHBOUR], registry: 'open', ...options });

/** What a user of the official SDK sees of a call. */
export type Seen =
  | { readonly kind: 'resolved'; readonly status: number; readonly body: unknown }
  | {
      readonly kind: 'code';
      readonly code: string;
      readonly status: number;
      readonly retryAfter: unknown;
      readonly data: unknown;
    }
  | { readonly kind: 'failed'; readonly name: string; readonly code: unknown };

export interface Call {
  readonly action: string;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly method?: 'GET' | 'POST';
  readonly account?: Pick<SandboxAccount, 'accessKeyId' | 'accessKeySecret' | 'securityToken'>;
  readonly options?: Readonly<Record<string, unknown>>;
}

const entry = z.object({
  response: z.object({ statusCode: z.number(), headers: z.record(z.string(), z.unknown()) }),
});
const resolved = z.tuple([z.unknown(), entry]);
const coded = z.object({ code: z.string(), data: z.record(z.string(), z.unknown()), entry });
const failed = z.object({ name: z.string(), code: z.unknown().optional() });

/** `verbose` is missing in the SDK's own types. */
class VerboseClient extends RpcClient {
  constructor(url: string, account: Required<Call>['account']) {
    const config = { endpoint: url, apiVersion: '2020-04-20', ...account };
    // @ts-expect-error a second argument exists (lib/rpc.js), but not in rpc.d.ts
    super(config, true);
  }
}

export async function call(
  sandbox: Pick<Sandbox, 'url'>,
  { action, parameters, method, account, options }: Call,
): Promise<Seen> {
  const client = new VerboseClient(sandbox.url, account ?? ACCOUNT);
  try {
    const settings = { method: method ?? 'POST', ...options };
    const [body, { response }] = resolved.parse(await client.request<unknown>(action, { ...parameters }, settings));
    return { kind: 'resolved', status: response.statusCode, body };
  } catch (error) {
    if (error instanceof z.ZodError) throw error;
    const told = coded.safeParse(error);
    if (!told.success) return { kind: 'failed', ...pick(failed.parse(error)) };
    const { code, data } = told.data;
    const { statusCode, headers } = told.data.entry.response;
    return { kind: 'code', code, status: statusCode, retryAfter: headers['x-acs-retry-after'], data };
  }
}

const pick = ({ name, code }: z.infer<typeof failed>): { name: string; code: unknown } => ({ name, code });

export const parametersOf = ({ instanceId, caSn, deviceSn }: Certificate): Record<string, string> => ({
  MqttInstanceId: instanceId,
  CaSn: caSn,
  DeviceSn: deviceSn,
});

/** One call of `DeleteDeviceCertificate`. */
export const remove = (
  sandbox: Pick<Sandbox, 'url'>,
  certificate: Certificate,
  rest: Partial<Call> = {},
): Promise<Seen> =>
  call(sandbox, {
    action: 'DeleteDeviceCertificate',
    ...rest,
    parameters: { ...parametersOf(certificate), ...rest.parameters },
  });

import { Accounts, NonceMemory, REQUEST_VALIDITY_MS, type SandboxAccount } from './accounts.ts';
import { signRpc } from './rpc-signature.ts';

const API_VERSION = '2020-04-20';

/** The operations the sandbox knows. Reads are GET only, the others POST only here, as the product asks of its callers. */
export const OPERATIONS = {
  DeleteDeviceCertificate: 'POST',
  InactivateDeviceCertificate: 'POST',
  ActiveDeviceCertificate: 'POST',
  GetDeviceCertificate: 'GET',
  ListDeviceCertificateByCaSn: 'GET',
  ListDeviceCertificate: 'GET',
  ListCaCertificate: 'GET',
  GetCaCertificate: 'GET',
  InactivateCaCertificate: 'POST',
  ActiveCaCertificate: 'POST',
  DeleteCaCertificate: 'POST',
} as const;
export type Operation = keyof typeof OPERATIONS;
export const OPERATION_NAMES = Object.keys(OPERATIONS) as [Operation, ...Operation[]];

/** Why a request is refused: a code of the API, and a message where the code's own would not say enough. */
export interface Refusal {
  readonly ok: false;
  readonly code: string;
  readonly message?: string;
}

export type CheckedRequest =
  | { readonly ok: true; readonly operation: Operation; readonly account: SandboxAccount }
  | Refusal;

export const refuse = (code: string, message?: string): Refusal =>
  message === undefined ? { ok: false, code } : { ok: false, code, message };

export const refuseMissing = (name: string): Refusal =>
  refuse(`Missing${name}`, `${name} is mandatory for this action.`);

const COMMON_PARAMETERS = [
  'Version',
  'AccessKeyId',
  'Signature',
  'SignatureMethod',
  'SignatureVersion',
  'SignatureNonce',
  'Timestamp',
] as const;

/** What the gateway checks of every call before the operation sees it. */
export class Gateway {
  readonly #accounts: Accounts;
  readonly #nonces = new NonceMemory();

  constructor(accounts: Accounts) {
    this.#accounts = accounts;
  }

  /**
   * Names the operation, then the caller, then proves both. The nonce is used up last, so that a forged request cannot
   * spoil another's.
   * @param wallMs - Unix milliseconds
   */
  check(method: string, parameters: ReadonlyMap<string, string>, wallMs: number): CheckedRequest {
    const action = parameters.get('Action');
    if (action === undefined || action === '') return refuseMissing('Action');
    for (const name of COMMON_PARAMETERS) {
      if ((parameters.get(name) ?? '') === '') return refuseMissing(name);
    }
    if (parameters.get('Version') !== API_VERSION) return refuse('InvalidVersion');
    if (!isOperation(action)) return refuse('InvalidApi.NotFound');
    if (method !== OPERATIONS[action]) return refuse('UnsupportedHTTPMethod');
    const account = this.#accounts.find(parameters.get('AccessKeyId') ?? '');
    if (account === undefined) return refuse('InvalidAccessKeyId.NotFound');
    const fault = this.#checkProof(method, parameters, account, wallMs);
    return fault === undefined ? { ok: true, operation: action, account } : refuse(fault);
  }

  #checkProof(
    method: string,
    parameters: ReadonlyMap<string, string>,
    account: SandboxAccount,
    wallMs: number,
  ): string | undefined {
    if (parameters.get('SignatureMethod') !== 'HMAC-SHA1') return 'IncompleteSignature';
    if (parameters.get('SignatureVersion') !== '1.0') return 'IncompleteSignature';
    const sentAtMs = parseTimestamp(parameters.get('Timestamp') ?? '');
    if (sentAtMs === undefined) return 'InvalidTimeStamp.Format';
    if (Math.abs(wallMs - sentAtMs) > REQUEST_VALIDITY_MS) return 'InvalidTimeStamp.Expired';
    const revocation = this.#accounts.revocationOf(account.accessKeyId);
    if (revocation !== undefined) return revocation;
    if (parameters.get('SecurityToken') !== account.securityToken) return 'InvalidSecurityToken.MismatchWithAccessKey';
    if (parameters.get('Signature') !== signRpc(method, parameters, account.accessKeySecret))
      return 'SignatureDoesNotMatch';
    const fresh = this.#nonces.use(account.accessKeyId, parameters.get('SignatureNonce') ?? '', wallMs);
    return fresh ? undefined : 'SignatureNonceUsed';
  }
}

function isOperation(action: string): action is Operation {
  return Object.hasOwn(OPERATIONS, action);
}

/** `YYYY-MM-DDThh:mm:ssZ`, the only form the RPC style takes. */
function parseTimestamp(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

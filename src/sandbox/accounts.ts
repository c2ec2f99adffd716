import { copyText } from './registry.ts';

/** An Alibaba Cloud account as the sandbox knows it: one access key and the instances it owns. */
export interface SandboxAccount {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** Given for a temporary (STS) key: each request must carry it. */
  readonly securityToken?: string;
  readonly instances: readonly string[];
}

/** Whose an instance is, seen from one account. */
export type Ownership = 'own' | 'of-another' | 'nowhere';

/** The accounts, and which of their keys an operator has revoked. */
export class Accounts {
  readonly #byKey: ReadonlyMap<string, SandboxAccount>;
  readonly #instances: ReadonlySet<string>;
  readonly #revoked = new Map<string, string>();

  constructor(accounts: readonly SandboxAccount[]) {
    this.#byKey = new Map(accounts.map((account) => [account.accessKeyId, account]));
    this.#instances = new Set(accounts.flatMap((account) => account.instances));
  }

  find(accessKeyId: string): SandboxAccount | undefined {
    return this.#byKey.get(accessKeyId);
  }

  ownership(account: SandboxAccount, instanceId: string): Ownership {
    if (account.instances.includes(instanceId)) return 'own';
    return this.#instances.has(instanceId) ? 'of-another' : 'nowhere';
  }

  /** The code with which a revoked key is refused. */
  revocationOf(accessKeyId: string): string | undefined {
    return this.#revoked.get(accessKeyId);
  }

  /** @throws Error when no account has the key */
  revoke(accessKeyId: string, code: string): void {
    this.#mustKnow(accessKeyId);
    this.#revoked.set(accessKeyId, code);
  }

  /** @throws Error when no account has the key */
  restore(accessKeyId: string): void {
    this.#mustKnow(accessKeyId);
    this.#revoked.delete(accessKeyId);
  }

  #mustKnow(accessKeyId: string): void {
    if (this.#byKey.has(accessKeyId)) return;
    // Names none of the others: a key id may be a real one, and is half of a secret.
    throw new Error(`accessKeyId: no account has "${accessKeyId}", give one of the sandbox's own accounts`);
  }
}

/** How far a timestamp may be off, and how long a nonce is remembered, milliseconds. */
export const REQUEST_VALIDITY_MS = 15 * 60 * 1000;
/** Nonces of one generation: 15 minutes at a full account's quota fit; a faster stream forgets sooner. */
const GENERATION_SIZE = 500_000;

/** Remembers nonces in two generations, so that forgetting old ones costs nothing and memory is bounded. */
export class NonceMemory {
  #young = new Set<string>();
  #old = new Set<string>();
  #sinceMs = Number.NEGATIVE_INFINITY;

  /** Records a nonce; false where it was used in the last 15 minutes. */
  use(accessKeyId: string, nonce: string, nowMs: number): boolean {
    const ageMs = nowMs - this.#sinceMs;
    if (ageMs >= REQUEST_VALIDITY_MS || this.#young.size >= GENERATION_SIZE) {
      this.#old = ageMs >= 2 * REQUEST_VALIDITY_MS ? new Set() : this.#young;
      this.#young = new Set();
      this.#sinceMs = nowMs;
    }
    const key = copyText(`${accessKeyId} ${nonce}`);
    if (this.#young.has(key) || this.#old.has(key)) return false;
    this.#young.add(key);
    return true;
  }
}

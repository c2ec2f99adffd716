/** How long a batch waits for its approval. */
export const AWAITING_MS = 7 * 24 * 3_600_000;

/** Who submitted a batch by a token. */
export interface Submitter {
  readonly name: string;
  /** Of the token. */
  readonly sha256: string;
}

/** What is kept of a planned batch so that it can run once it is approved. */
export interface Awaiting {
  readonly certificates: number;
  readonly chunks: number;
  /** Of its certificates, in their order. */
  readonly fingerprint: string;
  /** Null where no token was used. */
  readonly by: Submitter | null;
}

export function parseAwaiting(text: string | undefined): Awaiting | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as Awaiting);
}

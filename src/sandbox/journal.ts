/** One call as it arrived and what came of it, for judges that want more than counts. No secret, no signature. */
export interface JournaledCall {
  /** On the monotonic clock that all processes of the host share, milliseconds. */
  readonly arrivedMs: number;
  /** Source address: the egress as the cloud sees it. */
  readonly address: string;
  readonly accessKeyId: string;
  readonly operation: string;
  readonly deviceSn: string;
  readonly nonce: string;
  /** What was answered, or would have been if the answer had not been lost. */
  readonly code: string;
  /** The certificate was registered before this call and is not any more. */
  readonly deleted: boolean;
}

export type Journal = (call: JournaledCall) => void;

/** The monotonic clock that all processes of a host share, milliseconds. */
export function hostMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

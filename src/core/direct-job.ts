import type { Certificate } from './certificate.ts';

/** Whose single certificates an account takes: of everybody who can add a job, of those who have the key, of nobody. */
export const ACCEPTS = ['any', 'signed', 'none'] as const;

/** What an account takes into its direct batch. */
export interface DirectPolicy {
  readonly accept: (typeof ACCEPTS)[number];
  /** Certificates in any hour; the next one pauses the direct batch. */
  readonly maxPerHour: number;
  /** Instances whose certificates are taken; all of the account's when absent. */
  readonly instances?: readonly string[];
}

/** The policy, and the key of signed jobs where this process has it. */
export interface DirectRules {
  readonly policy: DirectPolicy;
  readonly jobKey?: string;
}

export const DEFAULT_DIRECT: DirectPolicy = { accept: 'any', maxPerHour: 10_000 };

/** A signature must not hold for longer: a captured job would else delete a certificate that was registered again. */
export const SIGNED_FOR_MOST_S = 86_400;

/** What a signature is over. */
export interface SignedClaims extends Certificate {
  readonly jobId: string;
  readonly requestedBy?: string;
  readonly reason?: string;
  /** Unix seconds. */
  readonly expires: number;
}

const SCHEME = 'certsweep-job-1';
const NUL = '\0';
const HALF_PAIR = /\p{Cs}/u;

/**
 * The text whose UTF-8 bytes are signed; undefined where two jobs would have the same: where one of its parts has a NUL, or half a surrogate pair,
 * for which UTF-8 has one replacement.
 */
export function textToSign(claims: SignedClaims): string | undefined {
  const { jobId, instanceId, caSn, deviceSn, requestedBy = '', reason = '', expires } = claims;
  const parts = [SCHEME, jobId, instanceId, caSn, deviceSn, requestedBy, reason, String(expires)];
  return parts.some((part) => part.includes(NUL) || HALF_PAIR.test(part)) ? undefined : parts.join(NUL);
}

/** A job as its producer wrote it; what stands beside the certificate is not checked yet. */
export interface ClaimingJob {
  readonly jobId: string;
  readonly certificate: Certificate;
  readonly requestedBy?: unknown;
  readonly reason?: unknown;
  readonly expires?: unknown;
  readonly sig?: unknown;
}

export type DirectVerdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly code: DirectRefusal; readonly message: string };

/** The codes of the dead letters. */
const REFUSALS = ['direct-not-accepted', 'instance-not-accepted', 'unsigned-job'] as const;
export type DirectRefusal = (typeof REFUSALS)[number];

/** Whether a dead letter is of a job that nobody was allowed to add. */
export function isRefusal(code: string): boolean {
  return REFUSALS.some((refusal) => refusal === code);
}

/**
 * Whether a job may be taken into the direct batch.
 * @param isSigned - compares the signature of a text in constant time; absent where this process has no key
 */
export function judgeDirectJob(
  job: ClaimingJob,
  policy: DirectPolicy,
  nowSeconds: number,
  isSigned?: (text: string, sig: string) => boolean,
): DirectVerdict {
  const { accept, instances } = policy;
  const { instanceId } = job.certificate;
  if (accept === 'none') {
    const message = 'direct.accept of this account is none: submit the certificate in a manifest';
    return { kind: 'refused', code: 'direct-not-accepted', message };
  }
  if (instances !== undefined && !instances.includes(instanceId)) {
    const message = `direct.instances of this account does not list ${instanceId}: add it there, or submit the certificate in a manifest`;
    return { kind: 'refused', code: 'instance-not-accepted', message };
  }
  if (accept === 'any') return { kind: 'accepted' };
  const fault = faultOfSignature(job, nowSeconds, isSigned);
  return fault === undefined ? { kind: 'accepted' } : { kind: 'refused', code: 'unsigned-job', message: fault };
}

/** An id that BullMQ has given: nobody could have signed it. */
const GIVEN_ID = /^\d*$/;

function faultOfSignature(
  { jobId, certificate, requestedBy, reason, expires, sig }: ClaimingJob,
  nowSeconds: number,
  isSigned: ((text: string, sig: string) => boolean) | undefined,
): string | undefined {
  if (sig === undefined) return 'sig is absent, and direct.accept of this account is signed';
  if (typeof sig !== 'string' || !/^[0-9a-f]{64}$/.test(sig)) return 'sig is not 64 lower-case hexadecimal digits';
  if (GIVEN_ID.test(jobId)) return 'the job has no id: give it its own (jobId), and sign that';
  if (!isTextOrAbsent(requestedBy) || !isTextOrAbsent(reason)) return 'requestedBy and reason must be text';
  if (!Number.isSafeInteger(expires)) return 'expires is not a whole number of Unix seconds';
  const left = (expires as number) - nowSeconds;
  if (left <= 0) return `the signature has expired ${Math.ceil(-left)} s ago: sign and add the job again`;
  if (left > SIGNED_FOR_MOST_S)
    return `expires is ${Math.ceil(left)} s ahead, at most ${SIGNED_FOR_MOST_S}: check both clocks`;
  const text = textToSign({
    ...certificate,
    jobId,
    expires: expires as number,
    ...(requestedBy !== undefined && { requestedBy }),
    ...(reason !== undefined && { reason }),
  });
  if (text === undefined) return 'a signed value has a NUL character, or half a surrogate pair';
  if (isSigned === undefined) return 'this worker has no key to check it with: set CERTSWEEP_JOB_KEY';
  return isSigned(text, sig)
    ? undefined
    : 'sig is not the signature of this job: another key, or another text was signed';
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}

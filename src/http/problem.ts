import type { ServerResponse } from 'node:http';

/** The answer to a client that does not get what it asked for: problem+json, RFC 9457, with the next step for a person. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** What to do now. */
  readonly next: string;
  readonly [more: string]: unknown;
}

interface ProblemParts {
  readonly status: number;
  /** Names the kind; programs may rely on it. */
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly next: string;
  /** Further members of the document, like the number that was expected. */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

const PROBLEM_TYPE = 'application/problem+json';
const TYPE_PREFIX = 'urn:certsweep:problem:';

/** Ends a request with an answer that says why. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly document: ProblemDocument;
  readonly headers: Readonly<Record<string, string>>;

  constructor({ status, code, title, detail, next, more = {}, headers = {} }: ProblemParts, options?: ErrorOptions) {
    super(detail, options);
    this.status = status;
    this.document = { type: `${TYPE_PREFIX}${code}`, title, status, detail, next, ...more };
    this.headers = headers;
  }

  toResponse(): Response {
    return new Response(JSON.stringify(this.document), {
      status: this.status,
      headers: { 'content-type': PROBLEM_TYPE, ...this.headers },
    });
  }

  /** Where no route is reached. The connection is not used again: what else is on it nobody has read. */
  send(response: ServerResponse): void {
    const body = JSON.stringify(this.document);
    response.writeHead(this.status, { 'content-type': PROBLEM_TYPE, connection: 'close', ...this.headers }).end(body);
  }
}

/** @param next - what a client may send instead */
export function badRequest(detail: string, next: string): Problem {
  return new Problem({ status: 400, code: 'bad-request', title: 'The request is not understood', detail, next });
}

export function noSuchBatch(batch: string): Problem {
  return new Problem({
    status: 404,
    code: 'no-batch',
    title: 'There is no such batch',
    detail: `There is no batch ${JSON.stringify(batch)}.`,
    next: 'GET /v1/batches lists all of them.',
  });
}

export function reasonRequired(): Problem {
  return new Problem({
    status: 422,
    code: 'reason-required',
    title: 'A reason is required',
    detail: 'The configuration wants a reason for each change (audit.requireReason). Nothing was touched.',
    next: 'Send the same with a reason.',
  });
}

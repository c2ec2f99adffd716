import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a listing answers. */
export interface ListedData {
  Total: number;
  PageNo: number;
  PageSize: number;
  DeviceCertificateVOS: object[];
}

/** Stands before the sandbox and changes what its listings of devices answer, as an API may that does not what it says. */
export interface EditedAnswers {
  readonly url: string;
  /** Changes the data of an answer in place. */
  edit: (data: ListedData) => void;
  close(): Promise<void>;
}

/** @param behind - the sandbox' URL */
export async function startEditedAnswers(behind: string): Promise<EditedAnswers> {
  const server = createServer((incoming, outgoing) => {
    const { method, headers, url = '/' } = incoming;
    const onward = request(new URL(url, behind), { method, headers }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () => {
        outgoing.writeHead(reply.statusCode ?? 502, { 'content-type': 'application/json' });
        outgoing.end(edited(Buffer.concat(chunks).toString()));
      });
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  function edited(text: string): string {
    const body = JSON.parse(text) as { Data?: ListedData };
    if (body.Data?.DeviceCertificateVOS === undefined) return text;
    front.edit(body.Data);
    return JSON.stringify(body);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const front: EditedAnswers = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    edit: () => undefined,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return front;
}

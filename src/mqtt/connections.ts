import { Agent as HttpAgent, type AgentOptions, type ClientRequest } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { boundAnswer } from './bounded-answer.ts';
import { DeadlinePassed, OutgoingCall } from './outgoing-call.ts';
import { readAnswer } from './own-reading.ts';

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** The address of this host to call from; undefined: the system chooses. */
  readonly localAddress?: string;
}

/** Idle connections are given up before a load balancer or NAT forgets them silently. */
const IDLE_MS = 30_000;
/**
 * Where a server has once said something unasked, or one answer twice, a connection rests for this long after each answer: what comes twice then
 * comes while no call waits for it. It costs some connections more, so it is not done elsewhere.
 */
const REST_MS = 250;
/** A connection that was never used is given up sooner: servers wait less long for a first request, and then say so unasked. */
const SPARE_MS = 5_000;

/**
 * The client's connections: kept alive, at most `maxConnections`, and a call is given one only when it is up. So a call
 * that fails while connecting has certainly not been sent, a slow handshake cannot carry it past its slot, and
 * no call waits inside the agent, where its signature and its slot would grow old unseen: it waits in `enter`, before both.
 */
export class Connections {
  readonly agent: HttpAgent;
  readonly #waiting = new Set<() => void>();
  readonly #connecting = new Set<Duplex>();
  /** Connections that came up too late for the call they were made for; the next one takes them. */
  readonly #spare = new Map<Duplex, () => void>();
  readonly #upEvent: 'connect' | 'secureConnect';
  #free: number;
  #mustRest = false;

  constructor(secure: boolean, { maxConnections, localAddress }: ConnectionLimits) {
    this.#free = maxConnections;
    this.#upEvent = secure ? 'secureConnect' : 'connect';
    const options: AgentOptions = {
      keepAlive: true,
      // No bound in the agent: it would count a connection that is being torn down, and hold back the call that follows.
      maxSockets: Number.POSITIVE_INFINITY,
      maxFreeSockets: maxConnections,
      timeout: IDLE_MS,
      ...(localAddress === undefined ? {} : { localAddress }),
    };
    // Said outright: Node would otherwise ask NODE_TLS_REJECT_UNAUTHORIZED.
    this.agent = secure ? new HttpsAgent({ ...options, rejectUnauthorized: true }) : new HttpAgent(options);
    checkOnceMore(this.agent);
    this.#guardIdle();
    const open = this.agent.createConnection.bind(this.agent);
    this.agent.createConnection = (target, done) => {
      const outgoing: unknown = Reflect.get(target, 'outgoing');
      if (!(outgoing instanceof OutgoingCall) || done === undefined) throw new TypeError('a call must bring itself');
      const spare = this.#takeSpare();
      if (spare !== undefined) return spare;
      outgoing.hold();
      const socket = open(target);
      if (socket === undefined || socket === null) throw new TypeError('the agent opened no socket');
      this.#hand(socket, outgoing, done);
      // Nothing yet: the agent waits for `done`.
      return undefined;
    };
  }

  /**
   * Waits for the right to use a connection; in order of arrival.
   * @throws DeadlinePassed
   */
  async enter(outgoing: OutgoingCall): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add(resolve);
      const stop = (): void => {
        if (this.#waiting.delete(resolve)) reject(new DeadlinePassed());
      };
      outgoing.onDeadline(stop);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }

  /** The call has heard what is no answer to it: whatever comes next on its connection is not trusted either, for whomever it is. */
  distrust(outgoing: OutgoingCall): void {
    this.#mustRest = true;
    outgoing.connection?.destroy();
  }

  /** Ends every connection, also those in use and those being made. */
  close(): void {
    this.agent.destroy();
    for (const socket of this.#spare.keys()) socket.destroy();
    // With an error: a socket that ends without one would leave its call waiting for the deadline.
    const closed = Object.assign(new Error('the client is closed'), { code: 'closed' });
    for (const socket of this.#connecting) socket.destroy(closed);
  }

  /** What a server says on a connection before it was asked would be read as the answer to the next call: a free one that receives a byte is ended. */
  #guardIdle(): void {
    const { agent } = this;
    const [free, ...more] = agent.listeners('free');
    if (free === undefined || more.length > 0) throw new TypeError('the agent keeps its connections otherwise');
    const keep = (socket: Duplex, options: object): void => Reflect.apply(free, agent, [socket, options]);
    const reuse = agent.reuseSocket.bind(agent);
    const mustRest = (): void => {
      this.#mustRest = true;
    };
    function endUnasked(this: Duplex): void {
      mustRest();
      this.destroy();
    }
    agent.removeAllListeners('free');
    agent.on('free', (socket: Duplex, options: object) => {
      socket.on('data', endUnasked);
      if (this.#mustRest) setTimeout(keep, REST_MS, socket, options).unref();
      else keep(socket, options);
    });
    agent.reuseSocket = (socket, request) => {
      socket.off('data', endUnasked);
      reuse(socket, request);
    };
  }

  #takeSpare(): Duplex | undefined {
    for (const [socket, release] of this.#spare) {
      release();
      if (!socket.destroyed && socket.writable) return socket;
    }
    return undefined;
  }

  #hand(socket: Duplex, outgoing: OutgoingCall, done: (error: Error | null, socket: Duplex) => void): void {
    const giveUp = (): void => void socket.destroy(new DeadlinePassed());
    const settle = (error: Error | null): void => {
      this.#connecting.delete(socket);
      forget();
      done(error, socket);
    };
    const fail = (error: Error): void => settle(error);
    this.#connecting.add(socket);
    const forget = outgoing.onDeadline(giveUp);
    socket.once('error', fail);
    socket.once(this.#upEvent, () => {
      socket.off('error', fail);
      try {
        outgoing.depart();
      } catch (error) {
        this.#keep(socket);
        settle(error instanceof Error ? error : new Error('the call could not leave'));
        return;
      }
      settle(null);
    });
  }

  #keep(socket: Duplex): void {
    const release = (): void => {
      clearTimeout(timer);
      socket.off('data', drop);
      socket.off('end', drop);
      this.#spare.delete(socket);
    };
    const drop = (): void => {
      release();
      socket.destroy();
    };
    const timer = setTimeout(drop, SPARE_MS);
    timer.unref();
    // What the server says before it was asked anything would be read as the answer to the next call.
    socket.on('data', drop);
    socket.on('end', drop);
    // Nobody else listens while it is spare, and an unheard error would end the process; `#takeSpare` sees that it is dead.
    socket.on('error', () => undefined);
    this.#spare.set(socket, release);
  }
}

/** Node's agents have it, and packages build on it, but the types do not. */
interface AgentInside {
  addRequest(request: ClientRequest, target: object, ...rest: unknown[]): void;
}

/**
 * Bounds the answer, and checks the slot for a last time where nothing lies between the check and the write: Node emits `socket` and then writes, without a pause. A request
 * that is destroyed there takes its connection along, so this is the last resort; `depart` has checked with time to spare.
 */
function checkOnceMore(agent: HttpAgent): void {
  const inside = agent as HttpAgent & AgentInside;
  const add = inside.addRequest.bind(agent);
  inside.addRequest = (request, target, ...rest) => {
    const outgoing: unknown = Reflect.get(target, 'outgoing');
    if (!(outgoing instanceof OutgoingCall)) throw new TypeError('a call must bring itself');
    request.once('socket', (socket) => {
      outgoing.connection = socket;
      outgoing.release();
      try {
        outgoing.mustBeInTime(0);
      } catch (error) {
        request.destroy(error instanceof Error ? error : new Error('the call could not leave'));
      }
    });
    // Before the SDK's own listener, which is added when the request has been made.
    request.once('response', (response) => {
      boundAnswer(response);
      // After it, because it bypasses what stands before it.
      if (outgoing.takeBody !== undefined) readAnswer(response, outgoing.takeBody);
    });
    add(request, target, ...rest);
  };
}

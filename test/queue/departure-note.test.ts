import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Ledger, type JobLock, type Run } from '../../src/ledger/ledger.ts';
import { DepartureNote } from '../../src/queue/departure-note.ts';
import { connect } from '../../src/runtime/redis/connection.ts';
import { certificatesOf, LedgerRoom } from '../ledger/ledger-room.ts';

let room: LedgerRoom;
let batch: string;
let asked: number;
beforeEach(async () => {
  room = new LedgerRoom();
  batch = await room.batchOf(certificatesOf(2));
  const { key, token } = lockOf(room);
  await room.redis.set(key, token);
  asked = 0;
});
afterEach(async () => {
  vi.useRealTimers();
  await room.cleanup();
});

const lockOf = ({ keys }: LedgerRoom): JobLock => ({ key: `${keys.prefix}:lock`, token: 'ours' });

const runOf = (name: string, told = ''): Run => ({ lock: lockOf(room), name, told });

function noteOf(n: number, run = runOf('this')): DepartureNote {
  return new DepartureNote(() => {
    asked += 1;
    return room.ledger.depart(batch, n, 0, run);
  });
}

describe('the note of a call', () => {
  it('is made once for a slot that is near and the call in it', async () => {
    const note = noteOf(1);
    void note.made();
    expect(await note.made()).toBe('none');
    expect(asked).toBe(1);
    expect(await room.ledger.haveDeparted(batch, [0, 1])).toEqual([false, true]);
    note.renew();
    expect(await note.made()).toBe('none');
    expect(asked).toBe(2);
  });

  it('tells what was there before the first of its run, until another run has called', async () => {
    expect(await noteOf(1, runOf('before')).made()).toBe('none');
    const note = noteOf(1, runOf('this', 'before'));
    for (const before of ['told', 'told', 'untold', 'untold']) {
      if (before === 'untold' && asked === 3) await noteOf(1, runOf('other')).made();
      note.renew();
      expect(await note.made()).toBe(before);
    }
  });

  it('is there only where the ledger took it', async () => {
    const note = noteOf(1);
    expect(await note.before()).toBeUndefined();
    await room.redis.del(lockOf(room).key);
    void note.made();
    expect(await note.before()).toBeUndefined();
    await room.redis.set(lockOf(room).key, lockOf(room).token);
    note.renew();
    void note.made();
    expect(await note.before()).toBe('none');
  });

  it('is made anew where it is older than a second, since the item may have ended meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const note = noteOf(1);
    expect(await note.made()).toBe('none');
    await room.ledger.settle(room.settlement(batch, 1, 'revoked'));
    vi.advanceTimersByTime(1_001);
    expect(await note.made()).toBe('settled');
    expect(asked).toBe(2);
  });

  it('that failed is heard of by whoever is about to call, and by nobody else', async () => {
    const gone = connect({ options: room.keys.options }, 'producer', () => undefined);
    gone.disconnect();
    const ledger = new Ledger(gone, room.keys.prefix);
    const note = new DepartureNote(() => ledger.depart(batch, 1, 0, runOf('this')));
    void note.made();
    await expect(note.made()).rejects.toThrow('Connection is closed');
    expect(await room.ledger.haveDeparted(batch, [1])).toEqual([false]);
  });
});

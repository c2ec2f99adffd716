// Loaded into a command with `node --import`: it ends itself with SIGKILL at the moment that DIE_AT names, so that each phase is met.
//   write-to <end> <n>   half of the nth write to a file whose name ends so
//   rename-to <end>      right before a file gets a name that ends so
//   renamed-to <end>     right after
//   send <text>          right before a socket sends the text
//   sent <text>          when what answers it has arrived, and nobody has read it
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { Socket } from 'node:net';

const [moment, what, nth = '1'] = process.env.DIE_AT.split(' ');
let left = Number(nth);

function die() {
  process.kill(process.pid, 'SIGKILL');
  // The signal takes a moment, in which nothing else may happen.
  for (;;);
}

function dieInWrite(path, bytes, append) {
  if (moment !== 'write-to' || !String(path).endsWith(what)) return;
  left -= 1;
  if (left > 0) return;
  append(bytes.subarray(0, Math.ceil(bytes.length / 2)));
  die();
}

const pathOf = (fd) => fs.readlinkSync(`/proc/self/fd/${fd}`);
const { write, writev } = fs;
fs.write = (fd, bytes, ...rest) => {
  dieInWrite(pathOf(fd), bytes, (half) => fs.writeSync(fd, half, 0, half.length, null));
  return write(fd, bytes, ...rest);
};
fs.writev = (fd, all, ...rest) => {
  dieInWrite(pathOf(fd), Buffer.concat(all), (half) => fs.writeSync(fd, half, 0, half.length, null));
  return writev(fd, all, ...rest);
};

const { open, rename, writeFile } = fs.promises;
fs.promises.writeFile = (path, text, ...rest) => {
  dieInWrite(path, Buffer.from(text), (half) => fs.writeFileSync(path, half));
  return writeFile(path, text, ...rest);
};
fs.promises.open = async (path, ...rest) => {
  const handle = await open(path, ...rest);
  const writeHere = handle.write.bind(handle);
  handle.write = (bytes, at, length, position) => {
    dieInWrite(path, Buffer.from(bytes), (half) => fs.writeSync(handle.fd, half, 0, half.length, position));
    return writeHere(bytes, at, length, position);
  };
  return handle;
};
fs.promises.rename = async (from, to) => {
  if (moment === 'rename-to' && to.endsWith(what)) die();
  await rename(from, to);
  if (moment === 'renamed-to' && to.endsWith(what)) die();
};
syncBuiltinESMExports();

// eslint-disable-next-line typescript/unbound-method -- called with the socket as `this` below
const { write: send } = Socket.prototype;
Socket.prototype.write = function (data, ...rest) {
  const isIt = (moment === 'send' || moment === 'sent') && String(data).includes(what);
  if (isIt && moment === 'send') die();
  // A script that Redis does not know yet is sent again, whole.
  if (isIt) this.prependListener('data', (answer) => String(answer).includes('NOSCRIPT') || die());
  return send.call(this, data, ...rest);
};

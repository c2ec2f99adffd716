// Loaded into a worker with `node --import`: its wall clock jumps by CLOCK_SHIFT_MS two seconds after the start.
const shiftMs = Number(process.env.CLOCK_SHIFT_MS);
const RealDate = Date;
const fromMs = performance.now() + 2_000;
const nowMs = () => RealDate.now() + (performance.now() > fromMs ? shiftMs : 0);
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(nowMs());
    else super(...args);
  }
  static now() {
    return nowMs();
  }
};

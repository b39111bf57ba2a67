/**
 * When to connect again, and by which clock.
 *
 * What must live here: all that a test replaces to turn time by hand. What this file does not know:
 * what is connected.
 *
 * @module
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now    milliseconds
 * @property {(callback: () => void, delay: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (timer) => clearTimeout(timer),
};

/**
 * Growing delays between attempts to connect, with jitter, so that the clients of a restarted
 * server do not come back all at once.
 */
export class Backoff {
  /**
   * @param {object} [options]
   * @param {number} [options.first]    upper bound of the first delay, milliseconds
   * @param {number} [options.factor]    growth from one attempt to the next
   * @param {number} [options.cap]    upper bound of every delay, milliseconds
   * @param {() => number} [options.random]    uniform in [0, 1)
   */
  constructor({ first = 1000, factor = 2, cap = 60_000, random = Math.random } = {}) {
    this.first = first;
    this.factor = factor;
    this.cap = cap;
    this.random = random;
    this.attempts = 0;
  }

  /** The next delay: the first lies in [0, first), later ones in the upper half of their range. */
  next() {
    const ceiling = Math.min(this.cap, this.first * this.factor ** this.attempts);
    const floor = this.attempts === 0 ? 0 : ceiling / 2;
    this.attempts += 1;
    return floor + this.random() * (ceiling - floor);
  }

  reset() {
    this.attempts = 0;
  }
}

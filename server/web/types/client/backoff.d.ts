/**
 * When to connect again, and by which clock.
 *
 * What must live here: all that a test replaces to turn time by hand. What this file does not know:
 * what is connected.
 *
 * @module
 */
export type Clock = {
    /**
     * milliseconds
     */
    now: () => number;
    setTimeout: (callback: () => void, delay: number) => any;
    clearTimeout: (timer: any) => void;
};
/**
 * @typedef {object} Clock
 * @property {() => number} now    milliseconds
 * @property {(callback: () => void, delay: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */
/** @type {Clock} */
export declare const systemClock: Clock;
/**
 * Growing delays between attempts to connect, with jitter, so that the clients of a restarted
 * server do not come back all at once.
 */
export declare class Backoff {
    first: number;
    factor: number;
    cap: number;
    random: () => number;
    attempts: number;
    /**
     * @param {object} [options]
     * @param {number} [options.first]    upper bound of the first delay, milliseconds
     * @param {number} [options.factor]    growth from one attempt to the next
     * @param {number} [options.cap]    upper bound of every delay, milliseconds
     * @param {() => number} [options.random]    uniform in [0, 1)
     */
    constructor({ first, factor, cap, random }?: {
        first?: number;
        factor?: number;
        cap?: number;
        random?: () => number;
    });
    /** The next delay: the first lies in [0, first), later ones in the upper half of their range. */
    next(): number;
    reset(): void;
}

/**
 * Messages on their way to the server: kept until they are confirmed, one after the other.
 *
 * What must live here: the states of a message, the order of those to one room or person, and what
 * becomes of them when the connection is lost. What this file does not know: how a connection comes
 * back, and what else travels on it.
 *
 * @module
 */
import { ChatError } from "./errors.js";
export type Author = {
    /**
     * the id
     */
    user: string;
    name: string;
};
/**
 * Who a message is from, when that has to be the one whom the server knows us as.
 *
 * @typedef {object} Author
 * @property {string} user    the id
 * @property {string} name
 */
/**
 * One message on its way to the server. It settles once: `delivered` or `failed`.
 *
 * - `queued`: waits for the connection, for the room to be entered again, or for its turn.
 * - `sent`: written to the connection, not confirmed yet. After a lost connection it is sent again,
 *   with the same key, of which the server takes one.
 * - `delivered`: confirmed by the server.
 * - `failed`: refused; see `error`.
 */
export declare class Delivery {
    #private;
    kind: "person" | "room";
    target: string;
    text: string;
    key: string;
    at: number;
    author: Author | null;
    /** Fulfilled with this delivery once it is delivered or has failed; never rejected. */
    settled: Promise<any>;
    /** @type {"queued" | "sent" | "delivered" | "failed"} */
    state: "queued" | "sent" | "delivered" | "failed";
    /** @type {number | null} */
    offset: number | null;
    /** @type {ChatError | null} */
    error: ChatError | null;
    /** The connection on which it is on its way. @internal @type {any} */
    socket: any;
    /**
     * @param {"room" | "person"} kind
     * @param {string} target    the room, or the person's name
     * @param {string} text
     * @param {string} key    tells it apart from all others of ours
     * @param {number} [at]    when it was written, in milliseconds since 1970
     * @param {Author | null} [author]    null: whoever we are
     */
    constructor(kind: "room" | "person", target: string, text: string, key: string, at?: number, author?: Author | null);
    /**
     * @internal
     * @param {"queued" | "sent" | "delivered" | "failed"} state
     * @param {ChatError | null} [error]
     */
    become(state: "queued" | "sent" | "delivered" | "failed", error?: ChatError | null): void;
}
/** Makes up what nobody else has thought of. @returns {string} */
export declare function randomKey(): string;
/** All messages that are not confirmed yet. */
export declare class Outbox {
    #private;
    /**
     * @param {import("./line.js").Line} line
     * @param {object} options
     * @param {import("./backoff.js").Clock} options.clock
     * @param {number} options.maxQueued    messages kept until they are confirmed
     * @param {(room: string) => boolean} options.isEntered    whether a room takes messages by now
     * @param {(delivery: Delivery) => void} options.changed    hears of each new state
     */
    constructor(line: import("./line.js").Line, { clock, maxQueued, isEntered, changed }: {
        clock: import("./backoff.js").Clock;
        maxQueued: number;
        isEntered: (room: string) => boolean;
        changed: (delivery: Delivery) => void;
    });
    /** What is not confirmed, oldest first. */
    get waiting(): Delivery[];
    /** @param {Delivery} delivery */
    put(delivery: Delivery): Delivery;
    /** Go on with the messages to people, on a new connection. */
    transmitToPeople(): void;
    /** Send the oldest message to a room or person, unless one is on its way: their order stays. */
    transmitNext(kind: any, target: any): void;
    /** Returns the event, with its delivery where it is one of our own messages that comes back. */
    recognize(event: any, own: any): any;
    /** Give up what waits for a room. */
    fail(room: any, error: any): void;
    /** Give up what somebody else has written. @param {Author} us */
    failOthers({ user, name }: Author): void;
    /** Give up everything. */
    failAll(error: any): void;
}

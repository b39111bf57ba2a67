/**
 * One connection that comes back by itself, with commands and their answers.
 *
 * What must live here: connecting, which kind of connection to try, when to try again, saying
 * hello, tokens that end, and which answer belongs to which command. What this file does not know:
 * rooms, messages, or what is to be done with an event.
 *
 * @module
 */
import { ChatError } from "./errors.js";
export type Status = {
    status: "idle" | "connecting" | "online" | "waiting";
    /**
     * failed attempts since the connection last worked
     */
    attempt: number;
    /**
     * when the next attempt starts, in the clock's milliseconds
     */
    retryAt: number | null;
    /**
     * why there is no connection: an error's code, or ""
     */
    code: string;
    /**
     * the same in words
     */
    reason: string;
};
export type Owner = {
    /**
     * the fields of `hello`, but for the token
     */
    introduction: () => any;
    /**
     * the answer to `hello`, before `status` is online
     */
    named: (answer: any) => void;
    /**
     * the same, after; `again` on every
     * connection but the first
     */
    entered: (answer: any, again: boolean) => void;
    /**
     * an event that answers no command
     */
    received: (event: any) => void;
    /**
     * the connection is gone; whether another follows, `status` tells
     */
    lost: () => void;
    /**
     * there will be no further connection
     */
    ended: (error: ChatError) => void;
    changed: (status: Status) => void;
    fault: (error: ChatError) => void;
};
export declare class Line {
    #private;
    /**
     * @param {string} url    a ws: or wss: URL
     * @param {Owner} owner
     * @param {import("../client.js").Options} options    those that are about the connection
     */
    constructor(url: string, owner: Owner, { WebSocket, fallback, clock, backoff, openTimeout, answerTimeout, steadyAfter, token, }: import("../client.js").Options);
    get status(): Status;
    get online(): boolean;
    /** Tells one connection from the next. */
    get socket(): any;
    /** Whether the connection is of the kind that does for a WebSocket. */
    get isFallback(): boolean;
    /** Connect, and stay connected; fulfilled with the first answer to `hello`. */
    connect(): Promise<any>;
    suspend(): void;
    retryNow(): void;
    reconnect(): void;
    /** No further attempt: closed by us, or refused. */
    end(error: any): void;
    /** Send a command if there is a connection. @returns {Promise<any>} its answer */
    request(type: any, fields?: {}): Promise<any>;
    /** Send a command on the connection that there is. @returns {Promise<any>} its answer */
    command(type: any, fields: any): Promise<any>;
}

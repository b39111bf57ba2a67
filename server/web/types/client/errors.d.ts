/**
 * What can go wrong with a command.
 *
 * @module
 */
/** The server's refusal of a command, or this client's own (`not_connected`, `connection_lost`). */
export declare class ChatError extends Error {
    code: string;
    /** Milliseconds after which the same may be asked for again. @type {number | undefined} */
    retryAfter: number | undefined;
    /**
     * @param {string} code    the protocol's error code
     * @param {string} message    the same in words
     */
    constructor(code: string, message: string);
}
/** Refusals after which the same may be asked for again. */
export declare const RETRYABLE: Set<string>;

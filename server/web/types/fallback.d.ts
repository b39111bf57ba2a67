/**
 * A connection where WebSocket is blocked: Server-Sent Events one way, requests the other.
 *
 * What must live here: an object that is used like a `WebSocket` and speaks to `/events`. What
 * this file does not know: what travels. It touches no document and imports nothing, so that it
 * runs wherever `fetch` gives its answers as streams.
 *
 * @module
 */
export declare class EventSocket {
    #private;
    /** @type {(event: object) => void} */
    onopen: (event: object) => void;
    /** @type {(event: {data: string}) => void} */
    onmessage: (event: {
        data: string;
    }) => void;
    /** @type {(event: {code: number, reason: string}) => void} */
    onclose: (event: {
        code: number;
        reason: string;
    }) => void;
    /** @param {string} url    of the WebSocket, for which this one stands */
    constructor(url: string);
    /** @param {string} data */
    send(data: string): void;
    /** @param {number} [code]    from 3000 to 4999 */
    close(code?: number): void;
}

/**
 * The chat's client: one connection that comes back by itself.
 *
 * What must live here: what a program sees, and going on in each log where it was. The connection
 * is in `client/line.js`, what waits to be confirmed in `client/outbox.js`, and the commands that
 * are no more than that in `client/commands.js`. What none of them knows: any page. They touch
 * neither the document nor storage and need nothing, so that they run wherever `WebSocket`,
 * `EventTarget` and `CustomEvent` exist, in browsers and in Node, and in tests with a fake socket,
 * a fake clock and fixed random numbers.
 *
 *     const client = new ChatClient("wss://chat.example/ws");
 *     client.addEventListener("message", ({ detail }) => show(detail.from, detail.text));
 *     await client.connect("Ada");
 *     await client.join("lobby");
 *     client.send("lobby", "Good morning");
 *
 * Events carry their data in `event.detail`:
 *
 * | event                                        | detail                                         |
 * | -------------------------------------------- | ---------------------------------------------- |
 * | `status`                                     | a {@link Status}                               |
 * | `welcome`                                    | what the server says first, with its limits    |
 * | `rooms`                                      | `{rooms: [{room, members}]}`, the whole list   |
 * | `unread`                                     | `{memberships, people, head, again}`: what is  |
 * |                                              | new to us, counted when the connection came:   |
 * |                                              | `{room, head, read, unread}` of each room that |
 * |                                              | we are a member of, up to its `head`; `{with,  |
 * |                                              | read, unread}` of people, up to the inbox's    |
 * | `entered`                                    | an {@link Entered}: after a join, and after    |
 * |                                              | each reconnection                              |
 * | `expelled`                                   | `{room, error}`: we are no longer in a room    |
 * | `message`, `private`                         | the server's event; `delivery` is set when it  |
 * |                                              | is one of our own                              |
 * | `inbox`                                      | `{messages, read, again, complete}`: private   |
 * |                                              | messages from before the connection, each with |
 * |                                              | its `delivery` if it is one of our own; `read` |
 * |                                              | is the offset up to which we have read         |
 * | `notices`                                    | `{notifications, read}`: the latest of those   |
 * |                                              | from before the first connection, and the      |
 * |                                              | offset up to which we have read                |
 * | `edited`, `deleted`                          | the server's event, also for `target`s that    |
 * |                                              | stand in an earlier history                    |
 * | `private_edited`, `private_deleted`          | likewise, of private messages                  |
 * | `notification`                               | the server's event, also of what was missed    |
 * | `delivery`                                   | a {@link Delivery} whose state has changed     |
 * | `joined`, `left`, `typing`, `read`, `feed`   | the server's event                             |
 * | `room_created`, `room_described`,            | the server's event                             |
 * | `room_removed`, `room_count`, `room_access`, |                                                |
 * | `appointed`, `frames`                        |                                                |
 * | `room_joined`                                | `{room}`: we became a member of a room on      |
 * |                                              | another connection, and may `join` it here     |
 * | `fault`                                      | a {@link ChatError} that answers no command    |
 *
 * @module
 */
import { Commands } from "./client/commands.js";
import { ChatError } from "./client/errors.js";
import { Delivery } from "./client/outbox.js";
export { Backoff } from "./client/backoff.js";
export { ChatError } from "./client/errors.js";
export { Delivery } from "./client/outbox.js";
export type Status = import("./client/line.js").Status;
export type Clock = import("./client/backoff.js").Clock;
export type Options = {
    /**
     * the class to connect with
     */
    WebSocket?: any;
    /**
     * a class that does for it where proxies block WebSocket, such as the
     * `EventSocket` of `fallback.js`
     */
    fallback?: any;
    clock?: Clock;
    /**
     * the delays between attempts
     */
    backoff?: import("./client/backoff.js").Backoff;
    /**
     * milliseconds until an attempt to connect is given up
     */
    openTimeout?: number;
    /**
     * milliseconds until a command without an answer proves that
     * the connection is dead
     */
    answerTimeout?: number;
    /**
     * milliseconds online after which delays start over
     */
    steadyAfter?: number;
    /**
     * messages kept until they are confirmed
     */
    maxQueued?: number;
    /**
     * makes the keys of messages
     */
    newKey?: () => string;
    /**
     * gives a token that holds for a while yet, or
     * null for a guest; asked at each connection and before the last one ends
     */
    token?: () => Promise<string | null>;
    /**
     * of a guest who was here before
     */
    secret?: string | null;
};
export type Entered = {
    room: string;
    /**
     * up to 256 of those who are here
     */
    members: string[];
    /**
     * how many are
     */
    count: number;
    /**
     * what the room is about
     */
    topic: string;
    /**
     * how far we have read, an offset
     */
    read: number;
    /**
     * to whom it is open
     */
    access: "public" | "members" | "read_only";
    /**
     * whether we look after it
     */
    moderator: boolean;
    /**
     * those of the history that were not seen yet, oldest first
     */
    messages: Message[];
    /**
     * true when a lost connection came back
     */
    again: boolean;
    /**
     * false when messages may be missing before `messages`
     */
    complete: boolean;
};
export type Message = {
    /**
     * the name of who said it
     */
    from: string;
    /**
     * and the id
     */
    user: string;
    text: string;
    /**
     * ISO 8601
     */
    time: string;
    /**
     * where it stands in its log
     */
    offset: number;
    room?: string;
    /**
     * of a private message, the name
     */
    to?: string;
    edited?: boolean;
    deleted?: boolean;
    /**
     * when it is one of our own
     */
    delivery?: Delivery;
};
export type ServerEvent = Record<string, any>;
export type Events = {
    status: Status;
    welcome: ServerEvent;
    rooms: {
        rooms: {
            room: string;
            members: number;
        }[];
    };
    entered: Entered;
    expelled: {
        room: string;
        error: ChatError;
    };
    message: Message;
    private: Message;
    inbox: {
        messages: Message[];
        read: any;
        again: boolean;
        complete: boolean;
    };
    edited: ServerEvent;
    deleted: ServerEvent;
    private_edited: ServerEvent;
    private_deleted: ServerEvent;
    notification: ServerEvent;
    delivery: Delivery;
    joined: ServerEvent;
    left: ServerEvent;
    typing: ServerEvent;
    read: ServerEvent;
    feed: ServerEvent;
    room_created: ServerEvent;
    room_described: ServerEvent;
    room_removed: ServerEvent;
    room_count: ServerEvent;
    room_access: ServerEvent;
    room_joined: ServerEvent;
    appointed: ServerEvent;
    frames: ServerEvent;
    fault: ChatError;
};
export declare class ChatClient extends Commands {
    #private;
    /** The name that the server knows us by; "" before the first connection. */
    name: string;
    /** Our id; names may change hands, ids do not. */
    user: string;
    /** What makes a guest the same one when coming back; null for others. @type {string | null} */
    secret: string | null;
    /** What we may do everywhere: "guest", "user", "moderator" or "admin". */
    role: string;
    /** The live feeds that there are. @type {string[]} */
    feeds: string[];
    /** What the server allows, from its `welcome`. @type {Record<string, number>} */
    limits: Record<string, number>;
    /**
     * @param {string} url    a ws: or wss: URL
     * @param {Options} [options]
     */
    constructor(url: string, options?: Options);
    /**
     * Hear events of a type; {@link Events} has them all.
     * @template {keyof Events} Type
     * @param {Type} type
     * @param {((event: CustomEvent<Events[Type]>) => void) | EventListenerObject | null} listener
     * @param {boolean | AddEventListenerOptions} [options]
     */
    addEventListener<Type extends keyof Events>(type: Type, listener: ((event: CustomEvent<Events[Type]>) => void) | EventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
    /** The state of the connection. @returns {Status} */
    get status(): Status;
    get online(): any;
    /** Whether the connection is not a WebSocket, but what does for one. */
    get isFallback(): any;
    /** The rooms that this client is in, or enters again after a reconnection. */
    get rooms(): string[];
    /**
     * Connect under a name, and from then on stay connected until `close`.
     *
     * An unreachable server is tried again with growing delays; only a refusal of the name, or
     * `close`, rejects. A later reconnection whose name is still taken (often by our own lost
     * connection, which the server has not noticed yet) is tried again too; `status.code` tells.
     *
     * @param {string} name
     * @returns {Promise<{name: string, rooms: {room: string, members: number}[],
     *     memberships: {room: string, epoch: string, head: number, read: number, unread: number}[]}>}
     *     the name as the server spells it, all rooms, and those that we are a member of from before
     * @throws {ChatError} when the server refuses the name
     */
    connect(name: string): Promise<{
        name: string;
        rooms: {
            room: string;
            members: number;
        }[];
        memberships: {
            room: string;
            epoch: string;
            head: number;
            read: number;
            unread: number;
        }[];
    }>;
    /** Leave the server for good. Messages that were not confirmed fail. */
    close(): void;
    /**
     * Give the connection up for now, as when a browser puts the page into its back/forward cache or
     * loads it again (`pagehide`); `retryNow` comes back, or another client with our `secret`. The
     * others hear of it when that takes more than a moment.
     */
    suspend(): void;
    /** While waiting for the next attempt: make it now. */
    retryNow(): void;
    /** Go on over another connection; nothing is lost between the two. */
    reconnect(): void;
    /**
     * Find out whether the connection still works, after a sleep or a change of network: it is
     * asked for the list of rooms (see the `rooms` event), and replaced when no answer comes.
     */
    check(): void;
    /**
     * @param {string} type
     * @param {object} [fields]
     */
    request(type: string, fields?: object): any;
    /**
     * Join a room; it is entered again after each reconnection.
     * @param {string} room
     * @returns {Promise<Entered>}
     */
    join(room: string): Promise<Entered>;
    /** Leave a room. @param {string} room */
    leave(room: string): Promise<void>;
    /**
     * Change one of our messages.
     * @param {string} room
     * @param {number} offset
     * @param {string} text
     */
    edit(room: string, offset: number, text: string): Promise<void>;
    /** Take one of our messages back. @param {string} room @param {number} offset */
    delete(room: string, offset: number): Promise<void>;
    /** Change one of our private messages. @param {number} offset @param {string} text */
    editPrivate(offset: number, text: string): Promise<void>;
    /** Take one of our private messages back, from both. @param {number} offset */
    deletePrivate(offset: number): Promise<void>;
    /**
     * Tell a room that we started or stopped typing. Worth nothing later, so it is never queued.
     * @param {string} room
     * @param {boolean} active
     */
    typing(room: string, active: boolean): void;
    /** Tell the person that we write to. @param {string} person @param {boolean} active */
    typingTo(person: string, active: boolean): void;
    /**
     * Send a message to a room. It is never lost silently: without a connection it waits, and after
     * a reconnection an unconfirmed one is sent again, which makes no second one of it.
     * @param {string} room
     * @param {string} text
     * @returns {Delivery}
     */
    send(room: string, text: string): Delivery;
    /**
     * Send a private message, in the same way. The receiver need not be connected.
     * @param {string} to
     * @param {string} text
     * @returns {Delivery}
     */
    sendPrivate(to: string, text: string): Delivery;
    /** The messages that are not confirmed yet, oldest first. @returns {Delivery[]} */
    get unconfirmed(): Delivery[];
    /**
     * Go on with what another client of ours could not confirm, such as that of a page which was
     * loaded again: under its old keys, so that what has arrived is not said twice. To be called before
     * `connect`; what comes from anybody else than the server then knows us as fails and is not sent.
     *
     * @param {{kind: "room" | "person", target: string, text: string, key: string, at: number}[]}
     *     messages    the `unconfirmed` of then, or copies
     * @param {import("./client/outbox.js").Author} author    the `user` and `name` of then
     * @returns {Delivery[]}
     */
    resume(messages: {
        kind: "room" | "person";
        target: string;
        text: string;
        key: string;
        at: number;
    }[], author: import("./client/outbox.js").Author): Delivery[];
}

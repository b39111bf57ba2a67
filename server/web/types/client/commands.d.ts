/**
 * The commands that are no more than that: sent, and answered.
 *
 * What must live here: their names, fields and answers, for people who write programs. What this
 * file does not know: connections, and what there is to remember.
 *
 * @module
 */
export declare class Commands extends EventTarget {
    /** The patterns of topics that we subscribe to. @type {Set<string>} */
    patterns: Set<string>;
    /**
     * Send any command of the protocol.
     * @param {string} type
     * @param {object} [fields]
     * @returns {Promise<any>} the answer
     * @throws {import("./errors.js").ChatError} when there is no connection, it is lost meanwhile, or
     *     the server refuses the command
     */
    request(type: string, fields?: object): Promise<any>;
    /**
     * Ask for the list of all rooms.
     * @returns {Promise<{room: string, members: number}[]>}
     */
    listRooms(): Promise<{
        room: string;
        members: number;
    }[]>;
    /** Create a room; it lives while somebody is in it, so join it next. @param {string} room */
    createRoom(room: string): Promise<void>;
    /**
     * List the members of a room, those who are away too.
     * @param {string} room
     * @param {string} [after]    the `after` of the page before
     * @returns {Promise<{members: {user: string, name: string, online: boolean,
     *     last_seen: string | null, role: "" | "owner" | "moderator", read: number}[],
     *     after: string | null, online: number, count: number}>}
     */
    members(room: string, after?: string): Promise<{
        members: {
            user: string;
            name: string;
            online: boolean;
            last_seen: string | null;
            role: "" | "owner" | "moderator";
            read: number;
        }[];
        after: string | null;
        online: number;
        count: number;
    }>;
    /**
     * Ask whether somebody who has written to us privately is here, or when they were last.
     * @param {string} person    the name
     * @returns {Promise<{online: boolean, last_seen: string | null}>}
     */
    presence(person: string): Promise<{
        online: boolean;
        last_seen: string | null;
    }>;
    /**
     * Read what was said before an offset, or last.
     * @param {string} room
     * @param {number | null} [before]
     * @returns {Promise<{history: object[], more: boolean}>}
     */
    history(room: string, before?: number | null): Promise<{
        history: object[];
        more: boolean;
    }>;
    /**
     * Read our private messages before an offset, or the latest.
     * @param {number | null} [before]
     * @returns {Promise<{history: object[], more: boolean}>}
     */
    privateHistory(before?: number | null): Promise<{
        history: object[];
        more: boolean;
    }>;
    /**
     * Find messages of a room that have every word of a text in them, the latest first.
     * @param {string} room
     * @param {string} text
     * @param {number | null} [before]    the `before` of the answer before
     * @returns {Promise<{found: object[], before: number | null}>}
     */
    search(room: string, text: string, before?: number | null): Promise<{
        found: object[];
        before: number | null;
    }>;
    /**
     * Find private messages with one person in the same way.
     * @param {string} person    the name
     * @param {string} text
     * @param {number | null} [before]    the `before` of the answer before
     * @returns {Promise<{found: object[], before: number | null}>}
     */
    searchPrivate(person: string, text: string, before?: number | null): Promise<{
        found: object[];
        before: number | null;
    }>;
    /** Tell what a room is about. @param {string} room @param {string} topic */
    describeRoom(room: string, topic: string): Promise<void>;
    /**
     * Open a room to everybody, to its members, or for its moderators alone to speak.
     * @param {string} room
     * @param {"public" | "members" | "read_only"} access
     */
    setAccess(room: string, access: "public" | "members" | "read_only"): Promise<void>;
    /**
     * Do something about somebody in a room that we look after.
     * @param {string} room
     * @param {string} user    the name
     * @param {"kick" | "ban" | "unban" | "invite" | "uninvite" | "promote" | "demote"} action
     * @param {string} [reason]    told to who is put out
     */
    moderate(room: string, user: string, action: "kick" | "ban" | "unban" | "invite" | "uninvite" | "promote" | "demote", reason?: string): Promise<void>;
    /** Tell how far we have read. @param {string | null} room    null: the private messages */
    markRead(room: string | null, offset: any): Promise<void>;
    /**
     * Tell how far we have read the messages with one person.
     * @param {string} person    the name
     * @param {number} offset    of one of these messages
     */
    markPrivateRead(person: string, offset: number): Promise<void>;
    /** Tell how far we have read the notifications. @param {number} offset */
    markNotificationsRead(offset: number): Promise<void>;
    /** Hear the notifications of topics, until `unsubscribe`. @param {string} pattern */
    subscribe(pattern: string): Promise<void>;
    /** @param {string} pattern */
    unsubscribe(pattern: string): Promise<void>;
    /**
     * Hear a live feed, on this connection.
     * @param {string} feed
     * @returns {Promise<{interval: number, values: Record<string, any>}>}
     */
    watch(feed: string): Promise<{
        interval: number;
        values: Record<string, any>;
    }>;
    /** @param {string} feed */
    unwatch(feed: string): Promise<void>;
}

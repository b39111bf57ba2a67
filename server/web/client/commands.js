/**
 * The commands that are no more than that: sent, and answered.
 *
 * What must live here: their names, fields and answers, for people who write programs. What this
 * file does not know: connections, and what there is to remember.
 *
 * @module
 */

export class Commands extends EventTarget {
  /** The patterns of topics that we subscribe to. @type {Set<string>} */
  patterns = new Set();

  /**
   * Send any command of the protocol.
   * @param {string} type
   * @param {object} [fields]
   * @returns {Promise<any>} the answer
   * @throws {import("./errors.js").ChatError} when there is no connection, it is lost meanwhile, or
   *     the server refuses the command
   */
  request(type, fields = {}) {
    throw new Error(`nothing sends ${type} ${fields}`);
  }

  /**
   * Ask for the list of all rooms.
   * @returns {Promise<{room: string, members: number}[]>}
   */
  async listRooms() {
    const { rooms } = await this.request("list_rooms");
    this.dispatchEvent(new CustomEvent("rooms", { detail: { rooms } }));
    return rooms;
  }

  /** Create a room; it lives while somebody is in it, so join it next. @param {string} room */
  async createRoom(room) {
    await this.request("create_room", { room });
  }

  /**
   * List the members of a room, those who are away too.
   * @param {string} room
   * @param {string} [after]    the `after` of the page before
   * @returns {Promise<{members: {user: string, name: string, online: boolean,
   *     last_seen: string | null, role: "" | "owner" | "moderator", read: number}[],
   *     after: string | null, online: number, count: number}>}
   */
  members(room, after = "") {
    return this.request("members", { room, after });
  }

  /**
   * Ask whether somebody who has written to us privately is here, or when they were last.
   * @param {string} person    the name
   * @returns {Promise<{online: boolean, last_seen: string | null}>}
   */
  presence(person) {
    return this.request("presence", { with: person });
  }

  /**
   * Read what was said before an offset, or last.
   * @param {string} room
   * @param {number | null} [before]
   * @returns {Promise<{history: object[], more: boolean}>}
   */
  history(room, before = null) {
    return this.request("history", { room, before });
  }

  /**
   * Read our private messages before an offset, or the latest.
   * @param {number | null} [before]
   * @returns {Promise<{history: object[], more: boolean}>}
   */
  privateHistory(before = null) {
    return this.request("private_history", { before });
  }

  /**
   * Find messages of a room that have every word of a text in them, the latest first.
   * @param {string} room
   * @param {string} text
   * @param {number | null} [before]    the `before` of the answer before
   * @returns {Promise<{found: object[], before: number | null}>}
   */
  search(room, text, before = null) {
    return this.request("search", { room, text, before });
  }

  /**
   * Find private messages with one person in the same way.
   * @param {string} person    the name
   * @param {string} text
   * @param {number | null} [before]    the `before` of the answer before
   * @returns {Promise<{found: object[], before: number | null}>}
   */
  searchPrivate(person, text, before = null) {
    return this.request("search", { with: person, text, before });
  }

  /** Tell what a room is about. @param {string} room @param {string} topic */
  async describeRoom(room, topic) {
    await this.request("describe_room", { room, topic });
  }

  /**
   * Open a room to everybody, to its members, or for its moderators alone to speak.
   * @param {string} room
   * @param {"public" | "members" | "read_only"} access
   */
  async setAccess(room, access) {
    await this.request("set_access", { room, access });
  }

  /**
   * Do something about somebody in a room that we look after.
   * @param {string} room
   * @param {string} user    the name
   * @param {"kick" | "ban" | "unban" | "invite" | "uninvite" | "promote" | "demote"} action
   * @param {string} [reason]    told to who is put out
   */
  async moderate(room, user, action, reason = "") {
    await this.request("moderate", { room, user, action, reason });
  }

  /** Tell how far we have read. @param {string | null} room    null: the private messages */
  async markRead(room, offset) {
    await this.request("mark_read", { room, offset });
  }

  /**
   * Tell how far we have read the messages with one person.
   * @param {string} person    the name
   * @param {number} offset    of one of these messages
   */
  async markPrivateRead(person, offset) {
    await this.request("mark_read", { with: person, offset });
  }

  /** Tell how far we have read the notifications. @param {number} offset */
  async markNotificationsRead(offset) {
    await this.request("mark_read", { notifications: true, offset });
  }

  /** Hear the notifications of topics, until `unsubscribe`. @param {string} pattern */
  async subscribe(pattern) {
    await this.request("subscribe", { pattern });
    this.patterns.add(pattern);
  }

  /** @param {string} pattern */
  async unsubscribe(pattern) {
    await this.request("unsubscribe", { pattern });
    this.patterns.delete(pattern);
  }

  /**
   * Hear a live feed, on this connection.
   * @param {string} feed
   * @returns {Promise<{interval: number, values: Record<string, any>}>}
   */
  watch(feed) {
    return this.request("watch", { feed });
  }

  /** @param {string} feed */
  async unwatch(feed) {
    await this.request("unwatch", { feed });
  }
}

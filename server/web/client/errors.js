/**
 * What can go wrong with a command.
 *
 * @module
 */

/** The server's refusal of a command, or this client's own (`not_connected`, `connection_lost`). */
export class ChatError extends Error {
  /** Milliseconds after which the same may be asked for again. @type {number | undefined} */
  retryAfter;

  /**
   * @param {string} code    the protocol's error code
   * @param {string} message    the same in words
   */
  constructor(code, message) {
    super(message);
    this.name = "ChatError";
    this.code = code;
  }
}

/** Refusals after which the same may be asked for again. */
export const RETRYABLE = new Set(["unavailable", "rate_limited", "connection_lost"]);

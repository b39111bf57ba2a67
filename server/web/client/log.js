/**
 * How much of a log there is already.
 *
 * What must live here: positions, and whether an event is the next one. What this file does not
 * know: what the events say.
 *
 * @module
 */

/** What we have of a log: everything up to a position. */
export class Log {
  /** @type {{epoch: string, offset: number} | null} */
  position = null;

  get offset() {
    return this.position?.offset ?? 0;
  }

  /** Move on to an event of this log; false if it is there already, null if some are missing. */
  take({ offset }) {
    return offset > this.offset + 1 ? null : this.skipTo({ offset });
  }

  /** Move on to an event, whatever lies before it; false if it is there already. */
  skipTo({ offset }) {
    if (!this.position || offset <= this.offset) return false;
    this.position = { ...this.position, offset };
    return true;
  }

  /** Move on to the end of what an answer brought. */
  moveTo({ epoch, offset }) {
    this.position = { epoch, offset };
  }
}

/** A room that we want to be in, across connections. */
export class Membership extends Log {
  /** True while the server counts us in on this connection. */
  entered = false;
}

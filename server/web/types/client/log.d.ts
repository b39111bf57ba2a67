/**
 * How much of a log there is already.
 *
 * What must live here: positions, and whether an event is the next one. What this file does not
 * know: what the events say.
 *
 * @module
 */
/** What we have of a log: everything up to a position. */
export declare class Log {
    /** @type {{epoch: string, offset: number} | null} */
    position: {
        epoch: string;
        offset: number;
    } | null;
    get offset(): number;
    /** Move on to an event of this log; false if it is there already, null if some are missing. */
    take({ offset }: {
        offset: any;
    }): boolean | null;
    /** Move on to an event, whatever lies before it; false if it is there already. */
    skipTo({ offset }: {
        offset: any;
    }): boolean;
    /** Move on to the end of what an answer brought. */
    moveTo({ epoch, offset }: {
        epoch: any;
        offset: any;
    }): void;
}
/** A room that we want to be in, across connections. */
export declare class Membership extends Log {
    /** True while the server counts us in on this connection. */
    entered: boolean;
}

/**
 * The login that the pages share: a token in this tab's storage, refreshed in time.
 *
 * What must live here: where the token is kept, and the requests that give, renew and end it. What
 * this file does not know: the chat.
 *
 * @module
 */

const KEY = "rfc6455-chat-login";
/** Seconds before its end at which a token is renewed. */
const MARGIN = 60;

/**
 * @typedef {object} Login
 * @property {string} token
 * @property {string} name
 * @property {string} role
 * @property {number} expires    milliseconds since 1970
 */

/** A request that was refused. */
export class RequestError extends Error {
  /**
   * @param {number} status    of HTTP; 0 when there was no answer
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = "RequestError";
    this.status = status;
  }
}

/** @returns {Login | null} the login of this tab, if there is one and it still holds. */
export function currentLogin() {
  try {
    const login = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return login && login.expires > Date.now() ? login : null;
  } catch {
    return null;
  }
}

/**
 * Makes a request, with the token where there is one, and returns the answer's JSON.
 *
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {Login | null} [login]    whose token it has
 */
export async function request(method, path, body, login = currentLogin()) {
  const headers = { Accept: "application/json" };
  if (login) headers.Authorization = `Bearer ${login.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new RequestError(0, "The server cannot be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new RequestError(response.status, answer.message ?? `HTTP ${response.status}`);
  }
  return answer;
}

function keep(answer) {
  const expires = Date.now() + answer.expires_in * 1000;
  const login = { token: answer.token, name: answer.name, role: answer.role, expires };
  sessionStorage.setItem(KEY, JSON.stringify(login));
  return login;
}

/** @returns {Promise<Login>} */
export async function logIn(name, password) {
  return keep(await request("POST", "/login", { name, password }));
}

/** Returns a token that holds for a while yet: the one there is, or a new one. */
export async function freshToken() {
  const login = currentLogin();
  if (!login) return null;
  if (login.expires - Date.now() > MARGIN * 1000) return login.token;
  try {
    return keep(await request("POST", "/token/refresh", {})).token;
  } catch (error) {
    if (error.status !== 401) throw error;
    // The login has ended: whoever wants to stay logs in again.
    sessionStorage.removeItem(KEY);
    return null;
  }
}

/** Ends the login: here at once, even where the server cannot be told. */
export async function logOut() {
  const login = currentLogin();
  sessionStorage.removeItem(KEY);
  if (login) await request("POST", "/logout", {}, login);
}

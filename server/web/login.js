/**
 * The login page.
 *
 * What must live here: the form and what it says when something goes wrong.
 *
 * @module
 */

import { sentence } from "./page/words.js";
import { logIn } from "./session.js";

const form = document.querySelector("#login");
const fault = document.querySelector("#fault");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  fault.textContent = "";
  button.disabled = true;
  try {
    const login = await logIn(form.elements.name.value, form.elements.password.value);
    // Only to a page of our own: the address comes from whoever made the link.
    const next = new URLSearchParams(location.search).get("next");
    const own = next === "/admin" || next === "/";
    location.assign(own ? next : login.role === "admin" ? "/admin" : "/");
  } catch (error) {
    fault.textContent = sentence(error.message);
    form.elements.password.value = "";
    form.elements.password.focus();
  } finally {
    button.disabled = false;
  }
});
